package metrics

import (
	"time"

	"ftfuse/internal/control"
	"ftfuse/internal/record"
)

// flows are the books: for every rule and target, captured = delivered + queued + filtered + dropped. On a receiver they are of
// targets and plug-ins, and rule is empty.
var flows = []Metric{
	{"ftfuse_captured_bytes_total", Counter, Both, byFlow, "Input bytes captured, on a receiver what came for the target, since that was first known; a restart does not reset it.",
		flow(func(f control.Flow) control.Count { return f.Captured }, byteCount)},
	{"ftfuse_captured_records_total", Counter, Both, byFlow, "Records in them.",
		flow(func(f control.Flow) control.Count { return f.Captured }, recordCount)},
	{"ftfuse_delivered_bytes_total", Counter, Both, byFlow, "Of the captured bytes, those that the receiver has acknowledged.",
		flow(func(f control.Flow) control.Count { return f.Delivered }, byteCount)},
	{"ftfuse_delivered_records_total", Counter, Both, byFlow, "Records in them.",
		flow(func(f control.Flow) control.Count { return f.Delivered }, recordCount)},
	{"ftfuse_queued_bytes", Gauge, Both, byFlow, "Of the captured bytes, those that wait for delivery or for its acknowledgement.",
		flow(func(f control.Flow) control.Count { return f.Queued }, byteCount)},
	{"ftfuse_queued_records", Gauge, Both, byFlow, "Records in them.",
		flow(func(f control.Flow) control.Count { return f.Queued }, recordCount)},
	{"ftfuse_filtered_bytes_total", Counter, Both, byFlow, "Of the captured bytes, those that this target was not to have.",
		flow(func(f control.Flow) control.Count { return f.Filtered }, byteCount)},
	{"ftfuse_filtered_records_total", Counter, Both, byFlow, "Records in them.",
		flow(func(f control.Flow) control.Count { return f.Filtered }, recordCount)},
	{"ftfuse_dropped_bytes_total", Counter, Both, []string{"rule", "target", "reason"}, "Of the captured bytes, those that will never arrive.", dropped(byteCount)},
	{"ftfuse_dropped_records_total", Counter, Both, []string{"rule", "target", "reason"}, "Records in them.", dropped(recordCount)},
}

var byFlow = []string{"rule", "target"}

func byteCount(c control.Count) float64   { return float64(c.Bytes) }
func recordCount(c control.Count) float64 { return float64(c.Records) }

func flow(which func(control.Flow) control.Count, value func(control.Count) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) {
		for _, f := range s.Delivery().Flows {
			put(value(which(f)), f.Rule, f.Target)
		}
	}
}

// dropped gives every reason, so that an alarm on an increase sees the first one too.
func dropped(value func(control.Count) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) {
		for _, f := range s.Delivery().Flows {
			for _, why := range record.Reasons() {
				put(value(f.Dropped[why.String()]), f.Rule, f.Target, why.String())
			}
		}
	}
}

// waiting is what is on this machine's disk for others.
var waiting = []Metric{
	{"ftfuse_queue_disk_bytes", Gauge, Both, nil, "Disk space that the queue's own files take.",
		queue(func(q *control.QueueStatus) float64 { return float64(q.Disk) })},
	{"ftfuse_queue_bytes", Gauge, Both, nil, "Captured bytes that some target still needs; at a relay those of the target that needs most.",
		queue(func(q *control.QueueStatus) float64 { return float64(q.Bytes) })},
	{"ftfuse_queue_limit_bytes", Gauge, Both, nil, "queue.max_size: what the spools may take, at a relay what may wait for one target.", limit},
	{"ftfuse_queue_full", Gauge, Both, nil, "1 while new data meets when_full; at a relay while nothing more is taken.",
		queue(func(q *control.QueueStatus) float64 { return yes(q.State == "full") })},
	{"ftfuse_queue_oldest_seconds", Gauge, Both, nil, "Age of the oldest queued data; 0 when the queue is empty.", oldestQueued},
	{"ftfuse_disk_free_bytes", Gauge, Both, nil, "Free space of the state folder's file system.",
		queue(func(q *control.QueueStatus) float64 { return float64(q.DiskFree) })},
	{"ftfuse_disk_reserve_bytes", Gauge, Both, nil, "queue.min_free: what is left to others.",
		queue(func(q *control.QueueStatus) float64 { return float64(q.MinFree) })},
	{"ftfuse_last_loss_timestamp_seconds", Gauge, Both, nil, "When data was dropped last since the start, other than by expiry or by an operator; 0: never.",
		queue(func(q *control.QueueStatus) float64 { return stamp(q.LastLoss) })},
	{"ftfuse_queue_epoch", Gauge, Both, nil, "Grows when the queue was restored or lost.",
		queue(func(q *control.QueueStatus) float64 { return float64(q.Epoch) })},
}

func queue(value func(*control.QueueStatus) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) {
		if q := s.Delivery().Queue; q != nil {
			put(value(q))
		}
	}
}

// limit is of queues that have one: with plug-ins only, a receiver's has none.
func limit(s *control.Status, put put) {
	if q := s.Delivery().Queue; q != nil && q.MaxSize > 0 {
		put(float64(q.MaxSize))
	}
}

func oldestQueued(s *control.Status, put put) {
	if q := s.Delivery().Queue; q != nil {
		put(age(s.Now, q.Oldest))
	}
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
