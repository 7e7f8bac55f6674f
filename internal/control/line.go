package control

import (
	"fmt"
	"strings"
	"time"
)

// Line says in one line how things are, for `systemctl status`. Rates are those since before, an older Status of the
// same process; the zero Status is none.
func (s Status) Line(before Status) string {
	var parts []string
	if s.Sender != nil {
		parts = s.Sender.line(before.Sender, s.Now.Sub(before.Now))
	}
	if s.Receiver != nil {
		parts = s.Receiver.line(before.Receiver, s.Now.Sub(before.Now))
	}
	for _, r := range s.Unhealthy {
		if r.Code != MountNotServed { // said already
			parts = append(parts, r.Text)
		}
	}
	return strings.Join(parts, "; ")
}

func (s *SenderStatus) line(before *SenderStatus, took time.Duration) []string {
	if before == nil {
		before = s
	}
	serving, odd := 0, ""
	for _, m := range s.Mounts {
		if m.State == Serving {
			serving++
		} else if odd == "" {
			odd = fmt.Sprintf(" (%s: %s)", m.Name, m.State)
		}
	}
	captured, delivered := s.Moved()
	capturedThen, deliveredThen := before.Moved()
	parts := []string{
		fmt.Sprintf("%s serving%s", outOf(serving, len(s.Mounts), "mount"), odd),
		fmt.Sprintf("captures %s, delivers %s", rate(captured.Bytes, capturedThen.Bytes, took), rate(delivered.Bytes, deliveredThen.Bytes, took)),
		humanBytes(s.Queue.Bytes) + " queued",
	}
	if len(s.Outputs) > 0 {
		parts = append(parts, plural(len(s.Outputs), "output"))
		if len(s.Peers) == 0 {
			return parts
		}
	}
	connected, all, odd := 0, 0, ""
	for i := range s.Peers {
		p := &s.Peers[i]
		if p.Role == "standby" { // not needed
			continue
		}
		all++
		if p.State == "connected" {
			connected++
		} else if odd == "" {
			odd = fmt.Sprintf(" (%s: %s)", p.Name(), p.Word())
		}
	}
	return append(parts, fmt.Sprintf("%s connected%s", outOf(connected, all, "receiver"), odd))
}

func (r *ReceiverStatus) line(before *ReceiverStatus, took time.Duration) []string {
	if before == nil {
		before = r
	}
	written := func(r *ReceiverStatus) (n uint64) {
		for _, o := range r.Outputs {
			n += o.Written.Bytes
		}
		return n
	}
	return []string{
		plural(len(r.Peers), "sender") + " connected",
		fmt.Sprintf("receives %s, writes %s to %s", rate(r.Totals.Received.Bytes, before.Totals.Received.Bytes, took),
			rate(written(r), written(before), took), plural(len(r.Outputs), "output")),
	}
}

// rate is in bytes of input a second.
func rate(now, then uint64, took time.Duration) string {
	if now <= then || took <= 0 {
		return "0 B/s"
	}
	return humanBytes(uint64(float64(now-then)/took.Seconds())) + "/s"
}

func outOf(n, all int, what string) string {
	if n == all {
		return plural(n, what)
	}
	return fmt.Sprintf("%d of %s", n, plural(all, what))
}
