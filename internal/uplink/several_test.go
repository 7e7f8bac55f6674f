package uplink_test

import (
	"testing"

	"ftfuse/internal/record"
	"ftfuse/internal/uplink"
)

// mixed appends entries of one chunk each that belong to several streams in turn, and returns those.
func mixed(p *pair, entries int) (streams []record.Stream) {
	var sources []*record.Source
	for n := range 3 {
		via := source.Via(source.Sender.Derive(string(rune('a' + n))))
		sources, streams = append(sources, via), append(streams, via.Stream)
	}
	for n := range entries {
		fillFrom(sources[n%3], p.backlog, p.spools, 1, 1, 100)
	}
	p.options.Several, p.options.Batch = true, 300
	p.options.Streams = func() []record.Stream { return streams }
	p.options.Own = func(id record.SenderID) bool {
		for _, s := range streams {
			if s.Sender == id {
				return true
			}
		}
		return false
	}
	return streams
}

// One of several receivers takes what is not acknowledged from where it is, in several streams, over cuts; no new epoch is
// begun for what another took.
func TestSeveral(t *testing.T) {
	p := newPair(t)
	mixed(p, 300)
	p.receive()
	stop := p.send()
	p.delivered()
	stop()
	p.out = &memory{marks: map[record.Stream]record.Durable{}} // another receiver, with an empty disk
	p.receive()
	stop = p.send()
	fill(p.backlog, p.spools, 1, 1, 100)
	mixed(p, 30)
	p.cut()
	p.delivered()
	stop()
	if p.backlog.epochs != 0 || len(p.backlog.dropped) != 0 {
		t.Errorf("got %d new epochs, %v dropped, want none", p.backlog.epochs, p.backlog.dropped)
	}
	if n := len(p.out.bytes()); n != 3100 {
		t.Errorf("got %d bytes at the second receiver, want the 3100 that the first did not take", n)
	}
}

// An entry that cannot be read is given up among several streams too, and the others arrive once.
func TestSeveralDamage(t *testing.T) {
	p := newPair(t)
	mixed(p, 60)
	bad := p.backlog.entries[30][0].Extents[0]
	p.spools.fail = func(e record.Extent) error {
		if e.Off <= bad.Off && bad.Off < e.Off+int64(e.Len) {
			return record.ErrGone
		}
		return nil
	}
	p.receive()
	p.send()
	p.delivered()
	if len(p.backlog.dropped) != 1 || p.backlog.epochs != 0 {
		t.Errorf("got %v dropped, %d epochs, want one entry and none", p.backlog.dropped, p.backlog.epochs)
	}
	if n := len(p.out.bytes()); n != 5900 || len(p.out.gaps) != 1 {
		t.Errorf("got %d bytes, gaps %v, want 5900 and one", n, p.out.gaps)
	}
}

// watch notes what an uplink tells.
type watch struct{ ups, downs chan record.SenderID }

func (w *watch) Up(id record.SenderID, _ []record.Durable) error { w.ups <- id; return nil }
func (w *watch) Leaving()                                        {}
func (w *watch) Down(error)                                      { w.downs <- record.SenderID{} }

var _ uplink.Watcher = (*watch)(nil)

// Who watches is told of each connection before anything is taken, and of its end.
func TestWatch(t *testing.T) {
	p := newPair(t)
	w := &watch{make(chan record.SenderID, 100), make(chan record.SenderID, 100)}
	p.options.Watch = w
	fill(p.backlog, p.spools, 10, 1, 100)
	p.receive()
	stop := p.send()
	p.delivered()
	<-w.ups
	p.cut()
	<-w.downs
	<-w.ups
	stop()
	<-w.downs
	if len(w.ups) != 0 || len(w.downs) != 0 {
		t.Errorf("got %d more ups, %d more downs, want none", len(w.ups), len(w.downs))
	}
}
