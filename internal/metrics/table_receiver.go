package metrics

import (
	"ftfuse/internal/control"
)

// intake is what peers bring, all of them together: who they are is for `ftfuse status`.
var intake = []Metric{
	{"ftfuse_receiver_peers", Gauge, Receiver, nil, "Senders connected now.",
		receiver(func(r *control.ReceiverStatus) float64 { return float64(len(r.Peers)) })},
	{"ftfuse_receiver_connections", Gauge, Receiver, nil, "Connections now, those that have not introduced themselves included.",
		receiver(func(r *control.ReceiverStatus) float64 { return float64(r.Totals.Connections) })},
	{"ftfuse_receiver_accepted_total", Counter, Receiver, nil, "Connections accepted since the start.",
		receiver(func(r *control.ReceiverStatus) float64 { return float64(r.Totals.Accepted) })},
	{"ftfuse_receiver_refused_total", Counter, Receiver, []string{"reason"}, "Connections refused or cut since the start.", refused},
	{"ftfuse_receiver_wire_bytes_total", Counter, Receiver, nil, "Bytes of frames with data, as they came.",
		receiver(func(r *control.ReceiverStatus) float64 { return float64(r.Totals.Wire) })},
	{"ftfuse_receiver_received_bytes_total", Counter, Receiver, nil, "Input bytes received since the start.",
		receiver(func(r *control.ReceiverStatus) float64 { return byteCount(r.Totals.Received) })},
	{"ftfuse_receiver_received_records_total", Counter, Receiver, nil, "Records in them.",
		receiver(func(r *control.ReceiverStatus) float64 { return recordCount(r.Totals.Received) })},
	{"ftfuse_receiver_stored_bytes_total", Counter, Receiver, nil, "Of the received bytes, those that every output has written.",
		receiver(func(r *control.ReceiverStatus) float64 { return byteCount(r.Totals.Stored) })},
	{"ftfuse_receiver_stored_records_total", Counter, Receiver, nil, "Records in them.",
		receiver(func(r *control.ReceiverStatus) float64 { return recordCount(r.Totals.Stored) })},
	{"ftfuse_receiver_duplicate_bytes_total", Counter, Receiver, nil, "Of the received bytes, those that had been written already and were left out.",
		receiver(func(r *control.ReceiverStatus) float64 { return byteCount(r.Totals.Duplicates) })},
	{"ftfuse_receiver_duplicate_records_total", Counter, Receiver, nil, "Records in them.",
		receiver(func(r *control.ReceiverStatus) float64 { return recordCount(r.Totals.Duplicates) })},
	{"ftfuse_receiver_failures_total", Counter, Receiver, nil, "Attempts to write a batch that failed and were made again.",
		receiver(func(r *control.ReceiverStatus) float64 { return float64(r.Totals.Failures) })},
	{"ftfuse_receiver_memory_bytes", Gauge, Receiver, nil, "Received and not written yet.",
		receiver(func(r *control.ReceiverStatus) float64 { return float64(r.Memory) })},
	{"ftfuse_receiver_memory_limit_bytes", Gauge, Receiver, nil, "limits.memory.",
		receiver(func(r *control.ReceiverStatus) float64 { return float64(r.Limit) })},
	{"ftfuse_ledger_disk_bytes", Gauge, Receiver, nil, "Disk space that the ledger takes.",
		receiver(func(r *control.ReceiverStatus) float64 { return float64(r.Ledger.Disk) })},
	{"ftfuse_ledger_salvages_total", Counter, Receiver, nil, "Openings of the ledger that found damage; lines may have been written twice after each.",
		receiver(func(r *control.ReceiverStatus) float64 { return float64(r.Ledger.Salvages) })},
}

func receiver(value func(*control.ReceiverStatus) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) { put(value(s.Receiver)) }
}

func refused(s *control.Status, put put) {
	for why, n := range s.Receiver.Refused {
		put(float64(n), why)
	}
}
