package control

import (
	"testing"
	"time"
)

func TestLine(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	flows := func(captured, delivered uint64) []Flow {
		return []Flow{
			{Rule: "a", Target: "x", Captured: Count{Bytes: captured}, Delivered: Count{Bytes: delivered}},
			{Rule: "a", Target: "y", Captured: Count{Bytes: captured}},
			{Rule: "b", Target: "x", Captured: Count{Bytes: 1000}, Delivered: Count{Bytes: 1000}},
		}
	}
	sender := func(now int, captured, delivered uint64) Status {
		return Status{Now: at(now), Sender: &SenderStatus{Flows: flows(captured, delivered), Queue: QueueStatus{Bytes: 3 << 20},
			Mounts: []MountStatus{{Name: "log", State: Serving}, {Name: "app", State: "starting"}},
			Peers:  []PeerStatus{{Target: "x", State: "connected"}, {Target: "y", State: "waiting"}}}}
	}
	ill := sender(5, 0, 0)
	ill.Unhealthy = []Reason{{MountNotServed, "app", "mount app is not served: starting"}, {QueueFull, "", "the queue is full: new data meets when_full"}}
	well := Status{Now: at(1), Sender: &SenderStatus{Mounts: []MountStatus{{State: Serving}}, Peers: []PeerStatus{{State: "connected"}}}}
	receiver := func(now int, n uint64) Status {
		return Status{Now: at(now), Receiver: &ReceiverStatus{Peers: make([]SourceStatus, 3), Totals: IngestTotals{Received: Count{Bytes: n}},
			Outputs: []OutputStatus{{Written: Count{Bytes: n}}, {Written: Count{Bytes: n}}}}}
	}
	relay := func(now int, n uint64) Status {
		s := receiver(now, n)
		s.Receiver.Outputs, s.Receiver.Queue = nil, &QueueStatus{Bytes: 3 << 20}
		s.Receiver.Targets = []TargetStatus{{Name: "up"}}
		s.Receiver.Receivers = []PeerStatus{{Target: "up", Member: "a", State: "connected"}, {Target: "up", Member: "b", State: "waiting", Role: "away"}}
		s.Receiver.Flows = []Flow{{Rule: "a", Target: "up", Delivered: Count{Bytes: n / 2}}}
		return s
	}
	writes := relay(1, 0)
	writes.Receiver.Outputs = []OutputStatus{{Name: "files"}}
	for _, c := range []struct {
		now, before Status
		want        string
	}{
		{sender(1, 10, 10), Status{}, "1 of 2 mounts serving (app: starting); captures 0 B/s, delivers 0 B/s; 3.00 MiB queued; 1 of 2 receivers connected (y: waiting)"},
		{sender(5, 4106, 2058), sender(1, 10, 10), "1 of 2 mounts serving (app: starting); captures 1.00 KiB/s, delivers 512 B/s; 3.00 MiB queued; 1 of 2 receivers connected (y: waiting)"},
		{ill, Status{}, "1 of 2 mounts serving (app: starting); captures 0 B/s, delivers 0 B/s; 3.00 MiB queued; 1 of 2 receivers connected (y: waiting); the queue is full: new data meets when_full"},
		{well, Status{}, "1 mount serving; captures 0 B/s, delivers 0 B/s; 0 B queued; 1 receiver connected"},
		{receiver(3, 4096), receiver(1, 0), "3 senders connected; receives 2.00 KiB/s, writes 4.00 KiB/s to 2 outputs"},
		{relay(3, 4096), relay(1, 0), "3 senders connected; receives 2.00 KiB/s; hands on 1.00 KiB/s; 3.00 MiB queued; 1 of 2 receivers connected (up/b: away)"},
		{writes, Status{}, "3 senders connected; receives 0 B/s, writes 0 B/s to 1 output; hands on 0 B/s; 3.00 MiB queued; 1 of 2 receivers connected (up/b: away)"},
	} {
		if got := c.now.Line(c.before); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
