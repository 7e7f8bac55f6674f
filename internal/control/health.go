package control

import (
	"fmt"
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
	Dropping          = "dropping" // within the last minute
	OutputFailing     = "output_failing"
)

const (
	fillingPercent = 90
	recently       = time.Minute // how long after it something that happens at once counts as going on
)

// Judge fills in Unhealthy. patience is how long a target may take nothing while data waits for it.
func (s *Status) Judge(patience time.Duration) {
	s.Unhealthy = nil
	if s.Sender != nil {
		s.judgeMounts()
		s.judgeTargets(patience)
		s.judgeQueue()
	}
	if s.Receiver != nil {
		for _, o := range s.Receiver.Outputs {
			if s.lately(o.ErrorAt) {
				s.ill(OutputFailing, o.Name, "output %s cannot write: %s", o.Name, o.Error)
			}
		}
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
func (s *Status) judgeTargets(patience time.Duration) {
	for _, p := range s.Sender.Peers {
		if p.Oldest.IsZero() {
			continue
		}
		last := s.Since // of the moments since when data waits and nothing is taken
		for _, t := range []time.Time{p.Oldest, p.LastAck} {
			if t.After(last) {
				last = t
			}
		}
		waited := s.Now.Sub(last)
		switch {
		case waited < patience:
		case p.State == "connected" || p.State == "draining":
			s.ill(TargetStalled, p.Target, "target %s acknowledged nothing for %s, while data waits", p.Target, humanFor(waited))
		default:
			s.ill(TargetUnreachable, p.Target, "target %s could not be reached for %s, while data waits", p.Target, humanFor(waited))
		}
	}
}

func (s *Status) judgeQueue() {
	q := &s.Sender.Queue
	switch {
	case q.State == "full":
		s.ill(QueueFull, "", "the queue is full: new data meets when_full")
	case q.State != "ok":
		s.ill(QueueFull, "", "the queue cannot be used: %s", q.State)
	case q.MaxSize > 0 && float64(q.Bytes) >= fillingPercent/100.0*float64(q.MaxSize):
		s.ill(QueueFilling, "", "%d %% of the queue are used", uint64(100*float64(q.Bytes)/float64(q.MaxSize)))
	}
	if s.lately(q.LastLoss) {
		s.ill(Dropping, "", "data was dropped %s ago", humanFor(s.Now.Sub(q.LastLoss)))
	}
}
