package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftfuse/internal/config"
	"ftfuse/internal/ingest"
	"ftfuse/internal/ledger"
	"ftfuse/internal/record"
)

// peerOf gives a receiver chunks as a sender with one stream does, and holds the marks against what it has sent.
type peerOf struct {
	t      *testing.T
	dir    string
	stream record.Stream
	sent   record.Durable // and acknowledged
	*receiver
}

// receives returns a receiver's configuration with outputs to files, or plug-ins where a name begins with "plug".
func (p *peerOf) receives(rules []config.ReceiverRule, names ...string) *config.Receiver {
	c := config.DefaultReceiver()
	c.StateDir, c.Outputs, c.Rules = p.dir, nil, rules
	for _, n := range names {
		o := config.Output{Name: n, Type: "file", Base: filepath.Join(p.dir, n), Path: "out", Format: "raw", FileMode: 0o640, DirMode: 0o750, TimeZone: "UTC"}
		if strings.HasPrefix(n, "plug") {
			o.Type, o.Plugin = "plugin", config.Plugin{Command: []string{"/bin/cat"}, User: config.Keep, Group: config.Keep, Directory: "/", Stdout: "discard"}
		}
		c.Outputs = append(c.Outputs, o)
	}
	return &c
}

// open starts a receiver's outputs over the folder, without plug-ins and without a network.
func (p *peerOf) open(cfg *config.Receiver) {
	p.t.Helper()
	r := &receiver{cfg: cfg, log: slog.New(slog.DiscardHandler), fed: newDestinations()}
	r.load = func() (*config.Receiver, []string, error) { return r.cfg, nil, nil }
	p.receiver = r
	var err error
	if r.ledger, _, err = ledger.Open(ledger.Options{Dir: r.ledgerDir()}); err != nil {
		p.t.Fatal(err)
	}
	ruling, err := newReceived(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	r.ruling.Store(ruling)
	if _, err := r.openOutputs(cfg); err != nil {
		p.t.Fatal(err)
	}
	if r.ingest, err = ingest.New(ingest.Options{Output: &r.outputs}); err != nil {
		p.t.Fatal(err)
	}
	r.startOutputs(nil)
	p.t.Cleanup(func() { r.stop() })
}

func (r *receiver) stop() error {
	return errorsOf(r.fed.close(), r.close())
}

func errorsOf(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// change reloads.
func (p *peerOf) change(cfg *config.Receiver) {
	p.t.Helper()
	p.receiver.load = func() (*config.Receiver, []string, error) { return cfg, nil, nil }
	if _, err := p.reload(context.Background()); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peerOf) send(lines ...string) {
	p.t.Helper()
	src := &record.Source{Stream: p.stream, Host: "h"}
	file := &record.File{Mount: "m", Path: "f", Rule: "r"}
	for _, line := range lines {
		line += "\n"
		c := record.Chunk{Seq: p.sent.Seq + 1, Source: src, File: file, Writer: &record.Writer{}, Handle: 1, Time: 1e18, Records: 1,
			CRC: record.CRC([]byte(line)), Len: uint32(len(line)), Data: []byte(line)}
		if err := p.outputs.Put(context.Background(), []record.Chunk{c}); err != nil {
			p.t.Fatal(err)
		}
		p.sent = p.sent.Add(&c)
	}
}

// agrees says what a sender that connects is told: what it had acknowledged, under the same checksum.
func (p *peerOf) agrees(when string) {
	p.t.Helper()
	for _, o := range p.outputs.all() {
		if m := o.Mark(p.stream); m.Seq != p.sent.Seq || m.Chain != p.sent.Chain {
			p.t.Errorf("%s: output %q is at %d with checksum %x, want %d and %x, as the sender", when, o.name, m.Seq, m.Chain, p.sent.Seq, p.sent.Chain)
		}
	}
}

func (p *peerOf) holds(name, want string) {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, name, "out"))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	if got := strings.ReplaceAll(string(b), "\n", " "); got != want {
		p.t.Errorf("output %s has %q, want %q", name, got, want)
	}
}

// Outputs may come, go and come again, by a restart or a reload: a sender's marks and checksums go on to agree with each
// of them, so that it neither thinks that the receiver has lost data nor sends any twice under another name.
func TestOutputsThatComeLaterAgreeWithSenders(t *testing.T) {
	for _, how := range []string{"restart", "reload"} {
		t.Run(how, func(t *testing.T) {
			p := &peerOf{t: t, dir: t.TempDir(), stream: record.Stream{Sender: record.SenderID{7}, Epoch: 9}}
			p.open(p.receives(nil, "a"))
			n := 0
			for i, names := range [][]string{{"new", "a"}, {"a"}, {"new", "a", "plug"}, {"a", "new"}, {"plug", "a"}, {"other"}, {"a", "other"}} {
				n++
				p.send(fmt.Sprint(n))
				if how == "reload" {
					p.change(p.receives(nil, names...))
				} else {
					if err := p.stop(); err != nil {
						t.Fatal(err)
					}
					p.open(p.receives(nil, names...))
				}
				p.agrees(fmt.Sprintf("change %d to %v", i, names))
				n++
				p.send(fmt.Sprint(n))
				p.agrees(fmt.Sprintf("after change %d to %v", i, names))
			}
			p.holds("new", "2 3 6 7 8 9 ")
			p.holds("other", "12 13 14 ")
			p.holds("a", "1 2 3 4 5 6 7 8 9 10 11 14 ")
		})
	}
}

// An output that is behind the others because it failed is not one that is new: what it lacks comes again.
func TestOutputThatFailedIsNotPassedOver(t *testing.T) {
	p := &peerOf{t: t, dir: t.TempDir(), stream: record.Stream{Sender: record.SenderID{7}, Epoch: 9}}
	p.open(p.receives(nil, "a", "b"))
	p.send("1")
	before := p.sent
	for _, o := range p.outputs.all() {
		if o.name == "b" {
			o.Close()
		}
	}
	c := record.Chunk{Seq: 2, Source: &record.Source{Stream: p.stream}, File: &record.File{Path: "f"}, Writer: &record.Writer{}, Records: 1, CRC: record.CRC([]byte("2\n")), Len: 2, Data: []byte("2\n")}
	if err := p.outputs.Put(context.Background(), []record.Chunk{c}); err == nil {
		t.Fatal("an output that is closed took data")
	}
	p.stop()
	p.open(p.receives(nil, "new", "a", "b"))
	m, err := p.outputs.Mark(context.Background(), p.stream)
	if err != nil || m != before {
		t.Fatalf("got mark %+v, %v, want %+v: as far as all are", m, err, before)
	}
	if err := p.outputs.Put(context.Background(), []record.Chunk{c}); err != nil {
		t.Fatal(err)
	}
	p.sent = p.sent.Add(&c)
	p.agrees("all have all")
	p.holds("a", "1 2 ")
	p.holds("b", "1 2 ")
	p.holds("new", "2 ")
}

// A ledger without a roll, of an earlier version, knows its outputs by their marks.
func TestOutputsOfAnEarlierVersionTakePart(t *testing.T) {
	p := &peerOf{t: t, dir: t.TempDir(), stream: record.Stream{Sender: record.SenderID{7}, Epoch: 9}}
	l, _, err := ledger.Open(ledger.Options{Dir: filepath.Join(p.dir, "ledger")})
	if err != nil {
		t.Fatal(err)
	}
	for name, seq := range map[string]uint64{"ahead": 8, "behind": 3} {
		p.sent = record.Durable{Stream: p.stream, Seq: seq, Chain: record.Chain(seq)}
		if err := l.Book(name).Commit(nil, []record.Durable{p.sent}, false); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	p.open(p.receives(nil, "ahead", "behind", "new"))
	want := map[string]uint64{"ahead": 8, "behind": 3, "new": 3}
	for _, o := range p.outputs.all() {
		if m := o.Mark(p.stream); m.Seq != want[o.name] || m.Chain != record.Chain(m.Seq) {
			t.Errorf("%s is at %+v, want %d", o.name, m, want[o.name])
		}
	}
}

// The rules of a reload and the outputs that they name come into force together: a record is written by the one set or
// by the other, and never by half of each.
func TestReloadOfAReceiverLosesNothing(t *testing.T) {
	p := &peerOf{t: t, dir: t.TempDir(), stream: record.Stream{Sender: record.SenderID{7}, Epoch: 9}}
	all := func(out string) []config.ReceiverRule {
		return []config.ReceiverRule{{Name: "r", Match: []string{"**"}, Otherwise: "allow", Sample: 1, Outputs: []string{out},
			Filters: []config.Filter{{Action: "deny", Contains: "nothing has this"}}}}
	}
	p.open(p.receives(all("a"), "a", "keep"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 40 {
			out := []string{"a", "b"}[(i+1)%2]
			p.change(p.receives(all(out), out, "keep"))
		}
	}()
	n := 0
	for sending := true; sending; n++ {
		select {
		case <-done:
			sending = false
		default:
		}
		p.send(fmt.Sprint(n))
	}
	p.agrees("at the end")
	var lines int
	for _, name := range []string{"a", "b"} {
		b, err := os.ReadFile(filepath.Join(p.dir, name, "out"))
		if err != nil {
			t.Fatal(err)
		}
		lines += strings.Count(string(b), "\n")
	}
	if lines != n {
		t.Fatalf("sent %d lines, the outputs have %d", n, lines)
	}
}

// When a reload fails and an output that it has closed cannot be opened either, nothing is acknowledged without it.
func TestOutputThatDoesNotComeBack(t *testing.T) {
	p := &peerOf{t: t, dir: t.TempDir(), stream: record.Stream{Sender: record.SenderID{7}, Epoch: 9}}
	cfg := p.receives(nil, "a", "b")
	p.open(cfg)
	p.send("1")
	dir, away := filepath.Join(p.dir, "a"), filepath.Join(p.dir, "away")
	if err := os.Rename(dir, away); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	changed := p.receives(nil, "a", "b")
	changed.Outputs[0].Format = "json"
	p.receiver.load = func() (*config.Receiver, []string, error) { return changed, nil, nil }
	if _, err := p.reload(context.Background()); err == nil {
		t.Fatal("a reload with an output that cannot be opened was taken over")
	}
	c := record.Chunk{Seq: 2, Source: &record.Source{Stream: p.stream}, File: &record.File{Path: "f"}, Writer: &record.Writer{}, Records: 1, CRC: record.CRC([]byte("2\n")), Len: 2, Data: []byte("2\n")}
	if err := p.outputs.Put(context.Background(), []record.Chunk{c}); err == nil {
		t.Fatal("data was taken without an output")
	}
	if m, err := p.outputs.Mark(context.Background(), p.stream); err != nil || m != p.sent {
		t.Fatalf("got mark %+v, %v, want %+v", m, err, p.sent)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, dir); err != nil {
		t.Fatal(err)
	}
	p.send("2")
	p.agrees("when it is there again")
	p.change(p.receives(nil, "a", "b", "new"))
	p.send("3")
	p.agrees("after another reload")
	p.holds("a", "1 2 3 ")
	p.holds("b", "1 2 3 ")
	p.holds("new", "3 ")
}
