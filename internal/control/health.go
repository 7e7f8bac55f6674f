package control

import (
	"fmt"
	"slices"
	"time"
)

// Serving is the state of a mount that is well.
const Serving = "serving"

// Reason is one thing that is wrong, for machines and for people.
type Reason struct {
	Code    string `json:"code"`
	Subject string `json:"subject,omitempty"` // name of the mount, target or output
	Text    string `json:"text"`
}

// The codes of reasons.
const (
	MountNotServed    = "mount_not_served"
	TargetUnreachable = "target_unreachable" // longer than Judge was told, while data waits
	TargetStalled     = "target_stalled"     // connected, and acknowledges nothing for so long, while data waits
	QueueFilling      = "queue_filling"      // 90 % or more
	QueueFull         = "queue_full"
	Dropping          = "dropping"       // within the last minute
	OutputFailing     = "output_failing" // within the last minute, or takes nothing for longer than Judge was told, while data waits
	PluginEnding      = "plugin_ending"  // again and again, by itself
)

const (
	fillingPercent = 90
	recently       = time.Minute // how long after it something that happens at once counts as going on
	keepsEnding    = 3           // ends of a plug-in by itself that are more than an accident
)

// Judge fills in Unhealthy. patience is how long a target, or an output that is fed from the queue, may take nothing while
// data waits for it.
func (s *Status) Judge(patience time.Duration) {
	s.Unhealthy = nil
	d, full, outputs := s.Delivery(), "new data meets when_full", []OutputStatus(nil)
	if s.Sender != nil {
		s.judgeMounts()
		outputs = s.Sender.Outputs
	}
	if s.Receiver != nil {
		full, outputs = "nothing more is taken, and senders keep what they have", s.Receiver.Outputs
	}
	s.judgeTargets(d, patience)
	s.judgeOutputs(outputs, patience)
	if d.Queue != nil {
		s.judgeQueue(d.Queue, full)
	}
}

func (s *Status) ill(code, subject, format string, args ...any) {
	s.Unhealthy = append(s.Unhealthy, Reason{code, subject, fmt.Sprintf(format, args...)})
}

func (s *Status) lately(t time.Time) bool { return !t.IsZero() && s.Now.Sub(t) < recently }

func (s *Status) judgeMounts() {
	for _, m := range s.Sender.Mounts {
		if m.State != Serving {
			s.ill(MountNotServed, m.Name, "mount %s is not served: %s", m.Name, m.State)
		}
	}
}

// judgeTargets looks at what arrives, not at connections alone: a receiver that cannot write is connected.
func (s *Status) judgeTargets(d Delivery, patience time.Duration) {
	one := map[string]bool{} // whose members share one backlog
	for _, t := range d.Targets {
		if t.Policy != "" && t.Policy != Broadcast {
			one[t.Name] = true
			reached := slices.ContainsFunc(d.Peers, func(p PeerStatus) bool { return p.Target == t.Name && p.Connected() })
			s.judgeTarget(t.Name, reached, t.Oldest, t.LastAck, patience)
		}
	}
	for _, p := range d.Peers {
		if !one[p.Target] {
			s.judgeTarget(p.Name(), p.Connected(), p.Oldest, p.LastAck, patience)
		}
	}
}

// Broadcast is the policy with which every member of a target gets everything.
const Broadcast = "broadcast"

func (s *Status) judgeTarget(name string, connected bool, oldest, lastAck time.Time, patience time.Duration) {
	if oldest.IsZero() {
		return
	}
	switch waited := s.waited(oldest, lastAck); {
	case waited < patience:
	case connected:
		s.ill(TargetStalled, name, "target %s acknowledged nothing for %s, while data waits", name, humanFor(waited))
	default:
		s.ill(TargetUnreachable, name, "target %s could not be reached for %s, while data waits", name, humanFor(waited))
	}
}

// waited is how long data has been waiting while nothing was taken.
func (s *Status) waited(oldest, lastAck time.Time) time.Duration {
	last := s.Since
	for _, t := range []time.Time{oldest, lastAck} {
		if t.After(last) {
			last = t
		}
	}
	return s.Now.Sub(last)
}

// judgeOutputs names one thing of each output at most: what is nearest to the cause.
func (s *Status) judgeOutputs(list []OutputStatus, patience time.Duration) {
	for _, o := range list {
		p := o.Plugin
		switch {
		case p != nil && p.Restarts >= keepsEnding && (p.PID == 0 || s.lately(p.ExitedAt)):
			s.ill(PluginEnding, o.Name, "plug-in %s keeps ending, %d times so far: %s", o.Name, p.Restarts, p.LastExit)
		case o.Error != "" && s.lately(o.ErrorAt):
			s.ill(OutputFailing, o.Name, "output %s cannot write: %s", o.Name, o.Error)
		case o.Oldest.IsZero():
		case s.waited(o.Oldest, o.LastAck) >= patience:
			s.ill(OutputFailing, o.Name, "output %s took nothing for %s, while data waits", o.Name, humanFor(s.waited(o.Oldest, o.LastAck)))
		}
	}
}

// judgeQueue looks at q; full is what happens when it is.
func (s *Status) judgeQueue(q *QueueStatus, full string) {
	switch {
	case q.State == "full":
		s.ill(QueueFull, "", "the queue is full: %s", full)
	case q.State != "ok":
		s.ill(QueueFull, "", "the queue cannot be used: %s", q.State)
	case q.MaxSize > 0 && float64(q.Bytes) >= fillingPercent/100.0*float64(q.MaxSize):
		s.ill(QueueFilling, "", "%d %% of the queue are used", uint64(100*float64(q.Bytes)/float64(q.MaxSize)))
	}
	if s.lately(q.LastLoss) {
		s.ill(Dropping, "", "data was dropped %s ago", humanFor(s.Now.Sub(q.LastLoss)))
	}
}
