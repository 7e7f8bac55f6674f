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
	took, now, then := s.Now.Sub(before.Now), s.Delivery(), before.Delivery()
	if before.Sender == nil && before.Receiver == nil {
		then = now
	}
	if s.Sender != nil {
		parts = s.Sender.line(now, then, took)
	}
	if s.Receiver != nil {
		parts = s.Receiver.line(before.Receiver, took)
		if s.Receiver.Relay() {
			parts = append(parts, now.line(then, took)...)
		}
	}
	for _, r := range s.Unhealthy {
		if r.Code != MountNotServed { // said already
			parts = append(parts, r.Text)
		}
	}
	return strings.Join(parts, "; ")
}

func (s *SenderStatus) line(now, then Delivery, took time.Duration) []string {
	serving, odd := 0, ""
	for _, m := range s.Mounts {
		if m.State == Serving {
			serving++
		} else if odd == "" {
			odd = fmt.Sprintf(" (%s: %s)", m.Name, m.State)
		}
	}
	captured, delivered := now.Moved()
	capturedThen, deliveredThen := then.Moved()
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
	return append(parts, now.connected())
}

// line is what a relay hands on.
func (d Delivery) line(then Delivery, took time.Duration) []string {
	_, delivered := d.Moved()
	_, deliveredThen := then.Moved()
	return []string{"hands on " + rate(delivered.Bytes, deliveredThen.Bytes, took), humanBytes(d.Queue.Bytes) + " queued", d.connected()}
}

// connected says how many receivers are, of those that are needed.
func (d Delivery) connected() string {
	connected, all, odd := 0, 0, ""
	for i := range d.Peers {
		p := &d.Peers[i]
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
	return fmt.Sprintf("%s connected%s", outOf(connected, all, "receiver"), odd)
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
	text := "receives " + rate(r.Totals.Received.Bytes, before.Totals.Received.Bytes, took)
	if len(r.Outputs) > 0 || !r.Relay() {
		text += fmt.Sprintf(", writes %s to %s", rate(written(r), written(before), took), plural(len(r.Outputs), "output"))
	}
	return []string{plural(len(r.Peers), "sender") + " connected", text}
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
