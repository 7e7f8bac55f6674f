package control

import (
	"slices"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	well := func() (*Status, *SenderStatus) {
		s := &Status{Role: "sender", Since: ago(time.Hour), Now: now, Sender: &SenderStatus{
			Mounts: []MountStatus{{Name: "log", State: Serving}},
			Queue:  QueueStatus{Bytes: 89, MaxSize: 100, State: "ok"},
			Peers:  []PeerStatus{{Target: "main", State: "connected", LastAck: ago(30 * time.Minute)}},
		}}
		return s, s.Sender
	}
	for name, c := range map[string]struct {
		change func(*Status, *SenderStatus)
		want   []string
	}{
		"all well":            {func(*Status, *SenderStatus) {}, nil},
		"a mount starts":      {func(_ *Status, s *SenderStatus) { s.Mounts[0].State = "starting" }, []string{MountNotServed + " log"}},
		"away, nothing waits": {func(_ *Status, s *SenderStatus) { s.Peers[0].State = "waiting" }, nil},
		"away, for a moment":  {func(_ *Status, s *SenderStatus) { s.Peers[0].State, s.Peers[0].Oldest = "waiting", ago(4*time.Minute) }, nil},
		"away, for too long":  {func(_ *Status, s *SenderStatus) { s.Peers[0].State, s.Peers[0].Oldest = "waiting", ago(6*time.Minute) }, []string{TargetUnreachable + " main"}},
		"old data, acks go on": {func(_ *Status, s *SenderStatus) {
			s.Peers[0].Oldest, s.Peers[0].LastAck = ago(6*time.Hour), ago(time.Second)
		}, nil},
		"no acks": {func(_ *Status, s *SenderStatus) {
			s.Peers[0].Oldest, s.Peers[0].LastAck = ago(6*time.Hour), ago(6*time.Minute)
		}, []string{TargetStalled + " main"}},
		"just started": {func(st *Status, s *SenderStatus) {
			st.Since, s.Peers[0].Oldest, s.Peers[0].LastAck = ago(time.Minute), ago(6*time.Hour), time.Time{}
		}, nil},
		"nobody of several": {func(_ *Status, s *SenderStatus) {
			s.Targets = []TargetStatus{{Name: "main", Policy: "failover", Oldest: ago(6 * time.Minute)}}
			s.Peers = []PeerStatus{{Target: "main", Member: "a", State: "waiting"}, {Target: "main", Member: "b", State: "connecting"}}
		}, []string{TargetUnreachable + " main"}},
		"one of several": {func(_ *Status, s *SenderStatus) {
			s.Targets = []TargetStatus{{Name: "main", Policy: "failover", Oldest: ago(6 * time.Minute), LastAck: ago(time.Second)}}
			s.Peers = []PeerStatus{{Target: "main", Member: "a", State: "waiting", Oldest: ago(6 * time.Minute)}, {Target: "main", Member: "b", State: "connected"}}
		}, nil},
		"one of all": {func(_ *Status, s *SenderStatus) {
			s.Targets = []TargetStatus{{Name: "main", Policy: "broadcast", Oldest: ago(6 * time.Minute), LastAck: ago(time.Second)}}
			s.Peers = []PeerStatus{{Target: "main", Member: "a", State: "waiting", Oldest: ago(6 * time.Minute)}, {Target: "main", Member: "b", State: "connected"}}
		}, []string{TargetUnreachable + " main/a"}},
		"90 %":                {func(_ *Status, s *SenderStatus) { s.Queue.Bytes = 90 }, []string{QueueFilling + " "}},
		"full, and drops":     {func(_ *Status, s *SenderStatus) { s.Queue.State, s.Queue.LastLoss = "full", ago(time.Second) }, []string{QueueFull + " ", Dropping + " "}},
		"dropped, long since": {func(_ *Status, s *SenderStatus) { s.Queue.LastLoss = ago(2 * time.Minute) }, nil},
		"an output that takes": {func(_ *Status, s *SenderStatus) {
			s.Outputs = []OutputStatus{{Name: "copy", State: "waiting", Oldest: ago(6 * time.Hour), LastAck: ago(time.Second)}, {Name: "idle", LastAck: ago(time.Hour)}}
		}, nil},
		"an output that takes nothing": {func(_ *Status, s *SenderStatus) {
			s.Outputs = []OutputStatus{{Name: "copy", State: "writing", Oldest: ago(6 * time.Hour), LastAck: ago(6 * time.Minute)}}
		}, []string{OutputFailing + " copy"}},
		"an output that fails": {func(_ *Status, s *SenderStatus) {
			s.Outputs = []OutputStatus{{Name: "copy", Error: "disk full", ErrorAt: ago(time.Second)}, {Name: "other", Error: "disk full", ErrorAt: ago(time.Hour)}}
		}, []string{OutputFailing + " copy"}},
		"a plug-in had accidents": {func(_ *Status, s *SenderStatus) {
			s.Outputs = []OutputStatus{{Name: "p", Plugin: &PluginStatus{PID: 5, Restarts: 2, ExitedAt: ago(time.Second)}}, {Name: "q", Plugin: &PluginStatus{PID: 6, Restarts: 9, ExitedAt: ago(time.Hour)}}}
		}, nil},
		"plug-ins keep ending": {func(_ *Status, s *SenderStatus) {
			s.Outputs = []OutputStatus{{Name: "p", Plugin: &PluginStatus{PID: 5, Restarts: 3, ExitedAt: ago(time.Second)}}, {Name: "q", Error: "x", ErrorAt: now, Plugin: &PluginStatus{Restarts: 3, ExitedAt: ago(time.Hour)}}}
		}, []string{PluginEnding + " p", PluginEnding + " q"}},
	} {
		s, sender := well()
		c.change(s, sender)
		s.Judge(5 * time.Minute)
		var got []string
		for _, r := range s.Unhealthy {
			got = append(got, r.Code+" "+r.Subject)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	judgeReceivers(t, now)
}

// A relay's targets and queue are judged as a sender's; what plug-ins of a receiver have lost, too.
func judgeReceivers(t *testing.T, now time.Time) {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, c := range map[string]struct {
		change func(*ReceiverStatus)
		want   []string
	}{
		"all well":      {func(*ReceiverStatus) {}, nil},
		"no queue":      {func(r *ReceiverStatus) { *r = ReceiverStatus{} }, nil},
		"away":          {func(r *ReceiverStatus) { r.Receivers[0].State, r.Receivers[0].Oldest = "waiting", ago(6*time.Minute) }, []string{TargetUnreachable + " up"}},
		"takes nothing": {func(r *ReceiverStatus) { r.Receivers[0].Oldest = ago(6 * time.Minute) }, []string{TargetStalled + " up"}},
		"nobody of several": {func(r *ReceiverStatus) {
			r.Targets[0] = TargetStatus{Name: "up", Policy: "failover", Oldest: ago(6 * time.Minute)}
			r.Receivers = []PeerStatus{{Target: "up", Member: "a", State: "waiting"}}
		}, []string{TargetUnreachable + " up"}},
		"90 %":      {func(r *ReceiverStatus) { r.Queue.Bytes = 90 }, []string{QueueFilling + " "}},
		"full":      {func(r *ReceiverStatus) { r.Queue.State = "full" }, []string{QueueFull + " "}},
		"drops":     {func(r *ReceiverStatus) { r.Queue.LastLoss = ago(time.Second) }, []string{Dropping + " "}},
		"plug-ins":  {func(r *ReceiverStatus) { r.Targets, r.Receivers, r.Queue.MaxSize, r.Queue.Bytes = nil, nil, 0, 1000 }, nil},
		"they drop": {func(r *ReceiverStatus) { r.Targets, r.Receivers, r.Queue.LastLoss = nil, nil, ago(time.Second) }, []string{Dropping + " "}},
	} {
		s := &Status{Role: "receiver", Since: ago(time.Hour), Now: now, Receiver: &ReceiverStatus{Queue: &QueueStatus{Bytes: 89, MaxSize: 100, State: "ok"},
			Targets: []TargetStatus{{Name: "up"}}, Receivers: []PeerStatus{{Target: "up", State: "connected", LastAck: ago(30 * time.Minute)}}}}
		c.change(s.Receiver)
		s.Judge(5 * time.Minute)
		var got []string
		for _, r := range s.Unhealthy {
			got = append(got, r.Code+" "+r.Subject)
			if r.Code == QueueFull && r.Text != "the queue is full: nothing more is taken, and senders keep what they have" {
				t.Errorf("%s: a relay says %q", name, r.Text)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("relay, %s: got %q, want %q", name, got, c.want)
		}
	}
	r := &Status{Role: "receiver", Now: now, Receiver: &ReceiverStatus{Outputs: []OutputStatus{
		{Name: "a", Error: "disk full", ErrorAt: ago(time.Second)}, {Name: "b", Error: "long ago", ErrorAt: ago(time.Hour)}, {Name: "c"}}}}
	r.Judge(time.Minute)
	if want := (Reason{OutputFailing, "a", "output a cannot write: disk full"}); len(r.Unhealthy) != 1 || r.Unhealthy[0] != want {
		t.Errorf("receiver: got %+v, want %+v", r.Unhealthy, want)
	}
}
