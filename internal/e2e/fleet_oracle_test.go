package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ftfuse/internal/control"
)

// written is one line of a writer's.
type written struct {
	writer string
	n      int
}

// lines are what has arrived somewhere, and how often.
type lines map[written]int

// settle ends the writers, waits until nothing is under way any more, and asks the oracle.
func (f *fleet) settle() {
	f.t.Helper()
	f.endWriters()
	f.drained()
	if relays := f.relays(); len(relays) > 0 {
		f.until("relays hand all on", 60*time.Second, func() bool {
			return !slices.ContainsFunc(relays, func(s *station) bool { return !s.handedOn() }) && f.relayed()
		})
	}
	f.judge()
}

// relayed reports whether all has come to where it goes.
func (f *fleet) relayed() bool {
	there := f.there()
	for _, s := range f.of("sender") {
		for _, r := range s.routes {
			came := r.cover(there)
			for _, l := range s.loads {
				if slices.ContainsFunc(l.ok, func(n int) bool { return came[written{l.id, n}] == 0 }) {
					return false
				}
			}
		}
	}
	return true
}

// there is what has come to each receiver that is no relay.
func (f *fleet) there() map[*station]lines {
	f.t.Helper()
	there := map[*station]lines{}
	for _, s := range f.of("receiver") {
		if len(s.routes) == 0 {
			there[s] = s.arrived()
		}
	}
	return there
}

func (f *fleet) endWriters() {
	f.t.Helper()
	for _, s := range f.of("sender") {
		s.endWriters()
	}
}

// endWriters ends what still writes at a sender, when it has written something.
func (s *station) endWriters() {
	s.f.t.Helper()
	for _, l := range s.loads {
		if l.cmd.ProcessState == nil {
			s.f.until("writer "+l.id+" has written", 20*time.Second, func() bool { return l.written() > 0 })
			l.end(s.f.t)
		}
	}
}

// drained waits until all that was written at senders before is delivered.
func (f *fleet) drained() {
	f.t.Helper()
	for _, s := range f.of("sender") {
		s.drain()
	}
}

// drain waits until all that was written at a sender before is delivered.
func (s *station) drain() {
	s.f.t.Helper()
	s.f.until("the queue of "+s.name+" drains", 60*time.Second, func() bool { return s.owes(false) })
}

// owes reports whether something that was written at a sender before has not been delivered, or nothing, as asked; false of one
// that does not answer.
func (s *station) owes(something bool) bool {
	st := statusAt(s.f.t, s.sock(), control.PathStatus+"?"+control.AskWritten).Sender
	return st != nil && something == (st.Unseen > 0 || slices.ContainsFunc(st.Flows, func(f control.Flow) bool { return f.Queued != control.Count{} }))
}

// judge is the oracle: of what write(2) has returned for nothing is lost and nothing is there twice, each handle's lines
// are in order, and the counters say the same.
func (f *fleet) judge() {
	f.t.Helper()
	there := f.there()
	for _, s := range f.of("sender") {
		for _, r := range s.routes {
			came := r.cover(there)
			for _, l := range s.loads {
				f.complete(l, came)
			}
		}
		s.counted()
	}
	for _, s := range f.of("receiver") {
		s.whole(there[s])
	}
	f.bounded(there)
}

// cover is what has come to where a route goes: to one of its members, or to all of them if it is a broadcast.
func (r route) cover(there map[*station]lines) lines {
	if r.policy == "broadcast" {
		return every(r.members, func(m *station) lines { return m.cover(there) })
	}
	sum := lines{}
	for _, m := range r.members {
		for line, k := range m.cover(there) {
			sum[line] = max(sum[line], k)
		}
	}
	return sum
}

// cover is what has come to a receiver, and through a relay to all that it sends to.
func (s *station) cover(there map[*station]lines) lines {
	if len(s.routes) == 0 {
		return there[s]
	}
	return every(s.routes, func(r route) lines { return r.cover(there) })
}

// every is what all of the list have.
func every[T any](list []T, cover func(T) lines) lines {
	sum := cover(list[0])
	for _, other := range list[1:] {
		more, both := cover(other), lines{}
		for line, k := range sum {
			if more[line] > 0 {
				both[line] = k
			}
		}
		sum = both
	}
	return sum
}

// complete wants all lines of a writer that write(2) has returned for.
func (f *fleet) complete(l *load, came lines) {
	f.t.Helper()
	lost := 0
	for _, n := range l.ok {
		if came[written{l.id, n}] == 0 {
			if lost++; lost <= 3 {
				f.t.Errorf("writer %s: line %d of %d is lost", l.id, n, len(l.ok))
			}
		}
	}
	if lost > 3 {
		f.t.Errorf("writer %s: %d lines are lost in all", l.id, lost)
	}
	if len(l.ok) == 0 {
		f.t.Errorf("writer %s has written nothing", l.id)
	}
}

// arrived reads what a receiver has on all disks that it has had, and holds each disk to its order. How often a line is there is
// how often it is on one disk.
func (s *station) arrived() lines {
	s.f.t.Helper()
	all := lines{}
	for _, disk := range s.disks {
		for line, k := range s.onDisk(disk) {
			all[line] = max(all[line], k)
		}
	}
	return all
}

func (s *station) onDisk(disk string) lines {
	t := s.f.t
	t.Helper()
	b, err := os.ReadFile(filepath.Join(disk, "json/all.json"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	type lane struct { // several writers share a handle only below the mount
		host, writer string
		handle       uint64
	}
	seen, last, ways := lines{}, map[lane][]int{}, s.ways()
	text := string(b)
	if disk != s.disk { // who wrote there was killed, for good: what it did not write to the end was never acknowledged
		text = text[:strings.LastIndexByte(text, '\n')+1]
	}
	for _, j := range parseLines(t, text) {
		if j.Gap != nil {
			t.Errorf("%s: got a gap: %+v", s.name, *j.Gap)
			continue
		}
		at, n := lane{host: j.Host, handle: j.Handle}, 0
		if _, err := fmt.Sscan(j.Data, &at.writer, &n); err != nil || s.f.wrote(at.writer, n) != j.Data+"\n" {
			t.Fatalf("%s: nobody wrote %+v", s.name, j)
		}
		line := written{at.writer, n}
		seen[line]++
		ends, ok := behind(last[at], n, ways)
		switch {
		case seen[line] > ways:
			t.Errorf("%s: line %d of %s is there %d times on one disk, want at most %d, by as many ways", s.name, n, at.writer, seen[line], ways)
		case !ok:
			t.Errorf("%s: line %d of %s, handle %d, stands after line %d", s.name, n, at.writer, at.handle, last[at])
		}
		last[at] = ends
	}
	return seen
}

// wrote is the n-th line of a writer, "" if there is none.
func (f *fleet) wrote(writer string, n int) string {
	for _, s := range f.of("sender") {
		for _, l := range s.loads {
			if l.id != writer {
				continue
			}
			if l.text == nil {
				l.text = l.lines(l.most())
			}
			if n >= 1 && n < len(l.text) {
				return l.text[n]
			}
		}
	}
	return ""
}

// counted holds a sender's counters against what its writers wrote: a line that failed may have been captured or not.
func (s *station) counted() {
	t := s.f.t
	t.Helper()
	least, most := s.copied, s.copied
	for _, l := range s.loads {
		least, most = least+len(l.ok), most+len(l.ok)+len(l.failed)
	}
	captured := map[string]control.Count{}
	st := s.status().Sender
	if st == nil {
		t.Fatalf("%s does not say how it is", s.name)
	}
	for _, flow := range st.Flows {
		if !flow.Balanced() || flow.Captured != flow.Delivered {
			t.Errorf("%s: captured is not delivered, or nothing adds up: %+v", s.name, flow)
		}
		captured[flow.Target] = captured[flow.Target].Plus(flow.Captured)
	}
	for target, c := range captured {
		if n := int(c.Records); n < least || n > most {
			t.Errorf("%s: captured %d records for %s, its writers wrote %d to %d", s.name, n, target, least, most)
		}
	}
}

// whole holds a receiver's counters against what it has.
func (s *station) whole(has lines) {
	t := s.f.t
	t.Helper()
	st := s.status().Receiver
	if st == nil {
		t.Fatalf("%s does not say how it is", s.name)
	}
	for _, o := range st.Outputs {
		if o.Uncertain > 0 || o.Unowned > 0 || o.Gaps > 0 || len(o.Missing) > 0 {
			t.Errorf("%s: output %s counts what nobody has done: %+v", s.name, o.Name, o)
		}
		sum := 0
		for _, k := range has {
			sum += k
		}
		if s.lives == 1 && len(s.disks) == 1 && int(o.Written.Records) != sum {
			t.Errorf("%s: output %s wrote %d records, there are %d", s.name, o.Name, o.Written.Records, sum)
		}
	}
}
