package metrics

import (
	"strings"
	"time"

	"ftfuse/internal/control"
	"ftfuse/internal/record"
)

// flows are the books: for every rule and target, captured = delivered + queued + filtered + dropped.
var flows = []Metric{
	{"ftfuse_captured_bytes_total", Counter, Sender, byFlow, "Input bytes captured, since the target was first known; a restart does not reset it.",
		flow(func(f control.Flow) control.Count { return f.Captured }, byteCount)},
	{"ftfuse_captured_records_total", Counter, Sender, byFlow, "Records in them.",
		flow(func(f control.Flow) control.Count { return f.Captured }, recordCount)},
	{"ftfuse_delivered_bytes_total", Counter, Sender, byFlow, "Of the captured bytes, those that the receiver has acknowledged.",
		flow(func(f control.Flow) control.Count { return f.Delivered }, byteCount)},
	{"ftfuse_delivered_records_total", Counter, Sender, byFlow, "Records in them.",
		flow(func(f control.Flow) control.Count { return f.Delivered }, recordCount)},
	{"ftfuse_queued_bytes", Gauge, Sender, byFlow, "Of the captured bytes, those that wait for delivery or for its acknowledgement.",
		flow(func(f control.Flow) control.Count { return f.Queued }, byteCount)},
	{"ftfuse_queued_records", Gauge, Sender, byFlow, "Records in them.",
		flow(func(f control.Flow) control.Count { return f.Queued }, recordCount)},
	{"ftfuse_filtered_bytes_total", Counter, Sender, byFlow, "Of the captured bytes, those that this target was not to have.",
		flow(func(f control.Flow) control.Count { return f.Filtered }, byteCount)},
	{"ftfuse_filtered_records_total", Counter, Sender, byFlow, "Records in them.",
		flow(func(f control.Flow) control.Count { return f.Filtered }, recordCount)},
	{"ftfuse_dropped_bytes_total", Counter, Sender, []string{"rule", "target", "reason"}, "Of the captured bytes, those that will never arrive.", dropped(byteCount)},
	{"ftfuse_dropped_records_total", Counter, Sender, []string{"rule", "target", "reason"}, "Records in them.", dropped(recordCount)},
}

var byFlow = []string{"rule", "target"}

func byteCount(c control.Count) float64   { return float64(c.Bytes) }
func recordCount(c control.Count) float64 { return float64(c.Records) }

func flow(which func(control.Flow) control.Count, value func(control.Count) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) {
		for _, f := range s.Sender.Flows {
			put(value(which(f)), f.Rule, f.Target)
		}
	}
}

// dropped gives every reason, so that an alarm on an increase sees the first one too.
func dropped(value func(control.Count) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) {
		for _, f := range s.Sender.Flows {
			for _, why := range record.Reasons() {
				put(value(f.Dropped[why.String()]), f.Rule, f.Target, why.String())
			}
		}
	}
}

// storage is what waits on this machine's disk.
var storage = []Metric{
	{"ftfuse_unseen_bytes", Gauge, Sender, nil, "Bytes that the kernel has appended to spools and that are not registered yet; they count as captured afterwards.",
		sender(func(s *control.SenderStatus) float64 { return float64(s.Unseen) })},
	{"ftfuse_spools", Gauge, Sender, nil, "Files of captured bytes.",
		sender(func(s *control.SenderStatus) float64 { return float64(s.Spools) })},
	{"ftfuse_spool_disk_bytes", Gauge, Sender, nil, "Disk space that the spools take, delivered bytes that stay readable included.",
		sender(func(s *control.SenderStatus) float64 { return float64(s.Disk) })},
	{"ftfuse_queue_disk_bytes", Gauge, Sender, nil, "Disk space that the queue's own files take.",
		sender(func(s *control.SenderStatus) float64 { return float64(s.Queue.Disk) })},
	{"ftfuse_queue_bytes", Gauge, Sender, nil, "Captured bytes that some target still needs.",
		sender(func(s *control.SenderStatus) float64 { return float64(s.Queue.Bytes) })},
	{"ftfuse_queue_limit_bytes", Gauge, Sender, nil, "queue.max_size: what the spools may take.",
		sender(func(s *control.SenderStatus) float64 { return float64(s.Queue.MaxSize) })},
	{"ftfuse_queue_full", Gauge, Sender, nil, "1 while new data meets when_full.",
		sender(func(s *control.SenderStatus) float64 { return yes(s.Queue.State == "full") })},
	{"ftfuse_queue_oldest_seconds", Gauge, Sender, nil, "Age of the oldest queued data; 0 when the queue is empty.",
		func(s *control.Status, put put) { put(age(s.Now, s.Sender.Queue.Oldest)) }},
	{"ftfuse_disk_free_bytes", Gauge, Sender, nil, "Free space of the state folder's file system.",
		sender(func(s *control.SenderStatus) float64 { return float64(s.Queue.DiskFree) })},
	{"ftfuse_disk_reserve_bytes", Gauge, Sender, nil, "queue.min_free: what is left to others.",
		sender(func(s *control.SenderStatus) float64 { return float64(s.Queue.MinFree) })},
	{"ftfuse_last_loss_timestamp_seconds", Gauge, Sender, nil, "When data was dropped last since the start, other than by expiry or by an operator; 0: never.",
		sender(func(s *control.SenderStatus) float64 { return stamp(s.Queue.LastLoss) })},
	{"ftfuse_queue_epoch", Gauge, Sender, nil, "Grows when the queue was restored or lost.",
		sender(func(s *control.SenderStatus) float64 { return float64(s.Queue.Epoch) })},
}

func sender(value func(*control.SenderStatus) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) { put(value(s.Sender)) }
}

// age returns the seconds from then to now, 0 for no time.
func age(now, then time.Time) float64 {
	if then.IsZero() {
		return 0
	}
	return max(0, now.Sub(then).Seconds())
}

func stamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}

var (
	byTarget = []string{"target"}
	byMember = []string{"target", "member"} // member is empty where the target has one receiver
)

// targets are the connections to receivers.
var targets = []Metric{
	{"ftfuse_target_hand_overs_total", Counter, Sender, byTarget, "Times that others stood in for a member since the start.",
		whole(func(t control.TargetStatus) float64 { return float64(t.HandOvers) })},
	{"ftfuse_target_uncertain_bytes_total", Counter, Sender, byTarget, "Input bytes that may be at two receivers, as they were under way at a hand-over.",
		whole(func(t control.TargetStatus) float64 { return float64(t.Uncertain.Bytes) })},
	{"ftfuse_target_dns_failing", Gauge, Sender, byTarget, "1 while the DNS does not tell who the members are; its last answer holds.",
		whole(func(t control.TargetStatus) float64 { return yes(t.DNS != "") })},
	{"ftfuse_target_waiting_bytes", Gauge, Sender, byMember, "Input bytes that are to go to the receiver and are not acknowledged.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Waiting.Bytes) })},
	{"ftfuse_target_acknowledged_bytes_total", Counter, Sender, byMember, "Input bytes that the receiver has acknowledged since the start.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Acked.Bytes) })},
	{"ftfuse_target_connected", Gauge, Sender, byMember, "1 while the receiver is connected.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return yes(p.Connected()) })},
	{"ftfuse_target_state_seconds", Gauge, Sender, byMember, "How long it has been connected, or has not been.",
		target(func(s *control.Status, p control.PeerStatus) float64 { return age(s.Now, p.Turned) })},
	{"ftfuse_target_round_trip_seconds", Gauge, Sender, byMember, "Of the last PING, which only a silent connection needs; 0 before there was one.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return p.RTT.Seconds() })},
	{"ftfuse_target_window_bytes", Gauge, Sender, byMember, "targets.window: bytes that may be unacknowledged.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Window) })},
	{"ftfuse_target_in_flight_bytes", Gauge, Sender, byMember, "Bytes sent and not acknowledged.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.InFlight) })},
	{"ftfuse_target_old_bytes", Gauge, Sender, byMember, "Of the queued bytes, those that waited when the receiver came back and that fresher data goes past (order: fresh-first); 0 when all goes in order.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Old.Bytes) })},
	{"ftfuse_target_fresh_bytes", Gauge, Sender, byMember, "Of the queued bytes, those that go past what is old; 0 when all goes in order.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Fresh.Bytes) })},
	{"ftfuse_target_sent_bytes_total", Counter, Sender, byMember, "Input bytes sent since the start, those that were sent again included.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Sent.Bytes) })},
	{"ftfuse_target_wire_bytes_total", Counter, Sender, byMember, "Bytes of frames sent since the start, after compression.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Wire) })},
	{"ftfuse_target_reconnects_total", Counter, Sender, byMember, "Connections made after the first one.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Reconnects) })},
	{"ftfuse_target_failures_total", Counter, Sender, byMember, "Connections, and attempts to connect, that failed.",
		target(func(_ *control.Status, p control.PeerStatus) float64 { return float64(p.Failures) })},
}

func target(value func(*control.Status, control.PeerStatus) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) {
		for _, p := range s.Sender.Peers {
			put(value(s, p), p.Target, p.Member)
		}
	}
}

func whole(value func(control.TargetStatus) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) {
		for _, t := range s.Sender.Targets {
			put(value(t), t.Name)
		}
	}
}

var byMount = []string{"mount"}

// mounts are the captured directories.
var mounts = []Metric{
	{"ftfuse_mount_serving", Gauge, Sender, byMount, "1 while the mount is served.", serving},
	{"ftfuse_mount_opens_total", Counter, Sender, []string{"mount", "mode", "reason"}, "Opens since the start, by the capture that they got, and why; see capture.md.", opens},
	{"ftfuse_mount_requests_total", Counter, Sender, byMount, "Requests from the kernel since the start.",
		mount(func(m control.MountStatus) float64 { return float64(m.Requests) })},
	{"ftfuse_mount_writes_total", Counter, Sender, byMount, "Of those, calls of write(2) by write capture.",
		mount(func(m control.MountStatus) float64 { return float64(m.Writes) })},
	{"ftfuse_mount_handles", Gauge, Sender, byMount, "Open files and directories.",
		mount(func(m control.MountStatus) float64 { return float64(m.Handles) })},
	{"ftfuse_mount_nodes", Gauge, Sender, byMount, "Inodes that the kernel knows.",
		mount(func(m control.MountStatus) float64 { return float64(m.Nodes) })},
	{"ftfuse_mount_panics_total", Counter, Sender, byMount, "Requests that failed by a mistake in ftfuse; the log has a stack for each. Please report.",
		mount(func(m control.MountStatus) float64 { return float64(m.Panics) })},
	{"ftfuse_mount_take_overs_total", Counter, Sender, byMount, "How often a process took the mount over from the one before it: restarts, upgrades and crashes that programs did not notice.",
		mount(func(m control.MountStatus) float64 { return float64(m.TakeOvers) })},
}

// mount adds up mounts of one name: one that was unmounted lazily lives on beside its successor, until its files are closed.
func mount(value func(control.MountStatus) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) {
		sum := map[string]float64{}
		for _, m := range s.Sender.Mounts {
			sum[m.Name] += value(m)
		}
		for name, v := range sum {
			put(v, name)
		}
	}
}

// serving says whether the mount that counts, the youngest of a name, is served.
func serving(s *control.Status, put put) {
	served := map[string]bool{}
	for _, m := range s.Sender.Mounts {
		served[m.Name] = m.State == control.Serving
	}
	for name, is := range served {
		put(yes(is), name)
	}
}

// opens leaves the kernel's words out of the reasons: `no spool: too many open files` counts as `no spool`.
func opens(s *control.Status, put put) {
	sum := map[[3]string]uint64{}
	for _, m := range s.Sender.Mounts {
		for _, o := range m.Opens {
			reason := o.Reason
			if head, _, found := strings.Cut(reason, ": "); found && head != "rule" {
				reason = head
			}
			sum[[3]string{m.Name, o.Mode, reason}] += o.Count
		}
	}
	for labels, n := range sum {
		put(float64(n), labels[:]...)
	}
}
