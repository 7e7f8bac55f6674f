package node

import (
	"slices"
	"testing"

	"ftfuse/internal/config"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
)

// row is what the queue of a receiver has counted for a cursor.
func (p *peerOf) row(cursor string) queue.Row {
	p.t.Helper()
	s := p.intake.Load().Queue.Stats()
	i := slices.IndexFunc(s.Cursors, func(c queue.CursorStats) bool { return c.Name == cursor })
	if i < 0 || len(s.Cursors[i].Rules) != 1 {
		p.t.Fatalf("cursor %s: got %+v, want one rule", cursor, s.Cursors)
	}
	r := s.Cursors[i].Rules[0]
	if !r.Balanced() {
		p.t.Errorf("cursor %s does not balance: %+v", cursor, r)
	}
	return r
}

// What waited for a plug-in or a target that is taken away stays; what comes then is not for it, over restarts too, and when it is
// there again it gets what comes from then on.
func TestNothingWaitsForWhoIsGone(t *testing.T) {
	p := &peerOf{t: t, dir: t.TempDir(), stream: record.Stream{Sender: record.SenderID{1}, Epoch: 1}}
	both := func() *config.Receiver {
		c := p.receives(nil, "plug-stays")
		target := config.DefaultSender().Targets[0]
		target.Name, target.Address = "gone", "127.0.0.1:1"
		c.Targets = append(c.Targets, target)
		return c
	}
	p.open(both())
	p.send("1", "2")
	if r := p.row("gone"); r.Queued.Records != 2 {
		t.Fatalf("got %+v, want 2 records queued", r)
	}
	p.change(p.receives(nil, "plug-stays"))
	p.send("3")
	wants := func(when string, queued, filtered uint64) {
		t.Helper()
		if r := p.row("gone"); r.Queued.Records != queued || r.Filtered.Records != filtered {
			t.Errorf("%s: got %+v, want %d records queued and %d that are not for it", when, r, queued, filtered)
		}
	}
	wants("gone", 2, 1)
	p.change(p.receives(nil)) // nothing takes anything
	p.send("4", "5")
	wants("all are gone", 2, 3)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	p.open(p.receives(nil, "plug-stays"))
	wants("after a restart", 2, 3)
	p.send("6")
	wants("after a restart, and more", 2, 4)
	p.change(both())
	p.send("7")
	wants("there again", 3, 4)
}
