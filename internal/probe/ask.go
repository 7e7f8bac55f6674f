package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// describe goes over what WELCOME says.
func (a *asking) describe(context.Context) bool {
	w, now := &a.report.Welcome, time.Now()
	if w.Version != wire.Version {
		return a.failed("version", now, fault{fmt.Sprintf("got version %d of the protocol, want %d", w.Version, wire.Version), "upgrade the older side"})
	}
	a.done("version", now, "%d of the protocol", w.Version)
	credit := Step{Name: "credit", Result: OK, Text: fmt.Sprintf("%s may be under way", size(w.Credit))}
	if w.Credit == 0 {
		credit.Result, credit.Text = Warning, "none: the receiver takes nothing just now"
		credit.Hint = "the quota that its `peers` give this machine is used up: `ftfuse status` there says until when"
	}
	a.note(credit)
	if err := w.Limits.Check(); err != nil {
		return a.failed("limits", now, fault{err.Error(), "the receiver is none of ours, or newer: upgrade this side"})
	}
	a.done("limits", now, "%s and %d chunks a batch, silence of %v, compression %s", size(w.Limits.Body), w.Limits.Chunks,
		time.Duration(min(w.Limits.IdleMillis, 24*3600*1000))*time.Millisecond, Codecs(w.Limits))
	return a.note(receiver(w))
}

func receiver(w *wire.Welcome) Step {
	s := Step{Name: "receiver", Result: OK}
	switch none := w.Receiver == (record.SenderID{}); {
	case none && w.Name == "":
		s.Text = "does not say who it is: an older version"
	case none:
		s.Text = string(w.Name)
	case w.Name == "":
		s.Text = w.Receiver.String()
	default:
		s.Text = fmt.Sprintf("%s, %v", w.Name, w.Receiver)
	}
	return s
}

// Codecs names what a receiver decompresses.
func Codecs(l wire.Limits) string {
	var names []string
	for _, c := range []wire.Codec{wire.S2, wire.Zstd} {
		if l.Codecs&(1<<c) != 0 {
			names = append(names, c.String())
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func size(n uint64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.4g KiB", float64(n)/(1<<10))
	}
	return fmt.Sprint(n, " bytes")
}

// trips sends PINGs, one after the other.
func (a *asking) trips(ctx context.Context) bool {
	const name = "round trip"
	if a.o.Count == 0 {
		return true
	}
	defer context.AfterFunc(ctx, func() { a.nc.Close() })()
	began := time.Now()
	for i := range a.o.Count {
		d, err := a.trip(uint64(i) + 1)
		if err != nil {
			f := fault{fmt.Sprintf("PING %d of %d: %s", i+1, a.o.Count, short(err)), "the receiver is overloaded, or the way to it breaks: `ftfuse status` there"}
			return a.failed(name, began, f)
		}
		a.report.RoundTrips = append(a.report.RoundTrips, d)
	}
	least, median := a.report.RoundTrip()
	return a.done(name, began, "at least %v, median %v, of %d", brief(least), brief(median), a.o.Count)
}

// brief rounds a time to three digits or so.
func brief(d time.Duration) time.Duration {
	for unit := time.Nanosecond; unit < time.Second; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit)
		}
	}
	return d.Round(time.Millisecond)
}

// RoundTrip returns the shortest and the median of RoundTrips, 0 if there are none.
func (r *Report) RoundTrip() (least, median time.Duration) {
	if len(r.RoundTrips) == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(r.RoundTrips))
	return sorted[0], sorted[len(sorted)/2]
}

func (a *asking) trip(token uint64) (time.Duration, error) {
	began := time.Now()
	if err := a.nc.SetDeadline(began.Add(a.o.Timeout)); err != nil {
		return 0, err
	}
	if _, err := a.nc.Write(wire.Ping{Token: token}.Append(nil)); err != nil {
		return 0, err
	}
	for {
		f, err := a.next()
		if err != nil {
			return 0, err
		}
		switch f := f.(type) {
		case wire.Pong:
			if f.Token == token {
				return time.Since(began), nil
			}
		case wire.Nack:
			return 0, fmt.Errorf("refused: %v: %s", f.Code, f.Text)
		case wire.Goaway:
			return 0, fmt.Errorf("the receiver goes away: %v: %s", f.Code, f.Text)
		}
	}
}

// clock judges the difference that the handshake showed.
func (a *asking) clock(context.Context) bool {
	r := a.report
	if r.Welcome.Time == 0 {
		return a.done("clock", time.Now(), "the receiver does not say its time: an older version")
	}
	side := "ahead of"
	if r.Difference < 0 {
		side = "behind"
	}
	s := Step{Name: "clock", Result: OK, Text: fmt.Sprintf("the receiver's is %v %s this one, give or take %v", brief(r.Difference.Abs()), side, brief(r.Doubt))}
	if r.Difference.Abs()-r.Doubt > apart {
		s.Result, s.Hint = Warning, "times of the two machines do not compare: `timedatectl` shows whether each is synchronized"
	}
	return a.note(s)
}
