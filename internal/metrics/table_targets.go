package metrics

import (
	"ftfuse/internal/control"
)

var (
	byTarget = []string{"target"}
	byMember = []string{"target", "member"} // member is empty where the target has one receiver
)

// targets are the connections to receivers.
var targets = []Metric{
	{"ftfuse_target_hand_overs_total", Counter, Both, byTarget, "Times that others stood in for a member since the start.",
		whole(func(t control.TargetStatus) float64 { return float64(t.HandOvers) })},
	{"ftfuse_target_uncertain_bytes_total", Counter, Both, byTarget, "Input bytes that may be at two receivers, as they were under way at a hand-over.",
		whole(func(t control.TargetStatus) float64 { return float64(t.Uncertain.Bytes) })},
	{"ftfuse_target_dns_failing", Gauge, Both, byTarget, "1 while the DNS does not tell who the members are; its last answer holds.",
		whole(func(t control.TargetStatus) float64 { return yes(t.DNS != "") })},
	{"ftfuse_target_waiting_bytes", Gauge, Both, byMember, "Input bytes that are to go to the receiver and are not acknowledged.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Waiting.Bytes) })},
	{"ftfuse_target_acknowledged_bytes_total", Counter, Both, byMember, "Input bytes that the receiver has acknowledged since the start.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Acked.Bytes) })},
	{"ftfuse_target_connected", Gauge, Both, byMember, "1 while the receiver is connected.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return yes(p.Connected()) })},
	{"ftfuse_target_state_seconds", Gauge, Both, byMember, "How long it has been connected, or has not been.",
		target(func(s *control.Status, p control.PeerStatus) float64 { return age(s.Now, p.Turned) })},
	{"ftfuse_target_round_trip_seconds", Gauge, Both, byMember, "Of the last PING, which only a silent connection needs; 0 before there was one.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return p.RTT.Seconds() })},
	{"ftfuse_target_window_bytes", Gauge, Both, byMember, "targets.window: bytes that may be unacknowledged.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Window) })},
	{"ftfuse_target_in_flight_bytes", Gauge, Both, byMember, "Bytes sent and not acknowledged.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.InFlight) })},
	{"ftfuse_target_old_bytes", Gauge, Both, byMember, "Of the queued bytes, those that waited when the receiver came back and that fresher data goes past (order: fresh-first); 0 when all goes in order.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Old.Bytes) })},
	{"ftfuse_target_fresh_bytes", Gauge, Both, byMember, "Of the queued bytes, those that go past what is old; 0 when all goes in order.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Fresh.Bytes) })},
	{"ftfuse_target_sent_bytes_total", Counter, Both, byMember, "Input bytes sent since the start, those that were sent again included.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Sent.Bytes) })},
	{"ftfuse_target_wire_bytes_total", Counter, Both, byMember, "Bytes of frames sent since the start, after compression.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Wire) })},
	{"ftfuse_target_reconnects_total", Counter, Both, byMember, "Connections made after the first one.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Reconnects) })},
	{"ftfuse_target_failures_total", Counter, Both, byMember, "Connections, and attempts to connect, that failed.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Failures) })},
}

func target(value func(*control.Status, control.PeerStatus) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) {
		for _, p := range s.Delivery().Peers {
			put(value(s, p), p.Target, p.Member)
		}
	}
}

func whole(value func(control.TargetStatus) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) {
		for _, t := range s.Delivery().Targets {
			put(value(t), t.Name)
		}
	}
}
