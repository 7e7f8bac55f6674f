package receiver_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"ftfuse/internal/receivertest"
	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// line is one of what examples/receiver.py writes.
type line struct {
	Host, Sender, Mount, Path, Rule, Comm, Exe, Unit, Container, Data string
	Epoch, Seq, Handle, Offset, Start                                 uint64
	Kind, PID, TID, UID, GID                                          uint32
	Time                                                              int64
	Continues, Continued, Below                                       bool
	Gap                                                               *struct {
		First, Last, Bytes, Records uint64
		Reason                      string
	}
	Marks []any
}

func python(t *testing.T, file string) *receivertest.Program {
	t.Helper()
	return receivertest.Run(t, exec.Command("/usr/bin/python3", "-B", "examples/receiver.py", "127.0.0.1:0", file))
}

// lines returns what the file has, without marks.
func lines(t *testing.T, file string) (list []line) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for l := range bytes.Lines(text) {
		var r line
		if err := json.Unmarshal(l, &r); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		if r.Marks == nil {
			list = append(list, r)
		}
	}
	return list
}

// A receiver written from the specification alone gets all units, pieces, gaps and attributes from the real sender.
func TestPython(t *testing.T) {
	s := receivertest.Open(t, wire.Zstd) // it must not compress: this receiver says that it cannot read that
	of := func(u record.Unit) *record.File {
		return &record.File{Mount: "app", Path: "log/ü.log", Rule: "r", Unit: u}
	}
	s.Append(1, of(record.Line), "lost\n")
	s.Drop(record.Limited)
	marks := func(c *record.Chunk) {
		c.Marks = []record.Mark{{Len: 3, Delta: 10}, {Len: 4, Delta: -20}}
		c.Time = 1000
	}
	s.Append(1, of(record.Line), "a\nb\nhal", marks, func(c *record.Chunk) { c.Flags = record.Continued })
	s.Append(1, of(record.Line), "f\nc\n", func(c *record.Chunk) { c.Flags = record.Continues | record.Below })
	s.Append(2, of(record.Write), "a\nbcd\ne", marks)
	s.Append(3, of(record.Framed), "a\n \n c\n", marks)
	s.Append(4, of(record.Binary), "\n\n", func(c *record.Chunk) { c.Time = 1000 })
	s.Append(4, of(9), "\n\n", func(c *record.Chunk) { c.Time, c.Clock, c.Writer.Kind, c.Flags = 1000, 9, 9, 128 })
	file := filepath.Join(t.TempDir(), "out")
	s.Listening(python(t, file).Address)
	s.Start()
	s.Await(7)
	got := lines(t, file)
	if len(got) == 0 || got[0].Gap == nil || got[0].Gap.Reason != "limited" || got[0].Gap.Bytes != 5 || got[0].Gap.Last != got[0].Seq {
		t.Fatalf("got %+v, want a gap", got)
	}
	var about []string
	for _, r := range got[1:] {
		about = append(about, fmt.Sprintf("%d %d %q %d %v %v %v", r.Handle, r.Offset, r.Data, r.Time%1_000_000_000, r.Continues, r.Continued, r.Below))
	}
	want := []string{
		`1 5 "a\n" 1010 false false false`, `1 7 "b\n" 980 false false false`, `1 9 "hal" 980 false true false`,
		`1 12 "f\n" 1 true false true`, `1 14 "c\n" 1 false false true`,
		`2 0 "a\nb" 1010 false false false`, `2 3 "cd\ne" 980 false false false`,
		`3 0 "a\n " 1010 false false false`, `3 3 "\n c\n" 980 false false false`,
		`4 0 "\n\n" 1000 false false false`, `4 2 "\n\n" 1000 false false false`,
	}
	if !reflect.DeepEqual(about, want) {
		t.Errorf("got\n%q, want\n%q", about, want)
	}
	r := got[1]
	r.Data, r.Time, r.Seq, r.Offset, r.Epoch = "", 0, 0, 0, 0
	whole := line{
		Host: "web 1", Sender: receivertest.ID.String(), Mount: "app", Path: "log/ü.log", Rule: "r", Comm: "nginx", Exe: "/usr/sbin/nginx", Unit: "nginx.service",
		Handle: 1, Start: 12345, Kind: 2, PID: 1, TID: 2, UID: 1000, GID: 100,
	}
	if !reflect.DeepEqual(r, whole) {
		t.Errorf("got %+v, want %+v", r, whole)
	}
}

// torn leaves what a program leaves that dies while it writes: whole lines and half a line without their commit.
func torn(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(`{"host": "torn", "data": "torn"}` + "\n" + `{"host": "to`)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// It is killed again and again: every line is there once, and the sender sees its own checksums.
func TestKillPython(t *testing.T) {
	const appends, kills = 800, 4
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := receivertest.Open(t, wire.None)
	var want []string
	for n := range appends {
		want = append(want, fmt.Sprintf("line %d\n", n))
		s.Append(uint64(n%3), file, want[n])
	}
	s.Start()
	out := filepath.Join(t.TempDir(), "out")
	total := kills * receivertest.Soak()
	for n := range total + 1 {
		p := python(t, out)
		s.Listening(p.Address)
		if n == total {
			break
		}
		first, last := uint64(n)*appends/uint64(total+1), uint64(n+1)*appends/uint64(total+1)
		s.Await(first + random.Uint64N(last-first))
		p.KillWithin(20*time.Millisecond, random)
		torn(t, out)
	}
	s.Await(appends)
	var got []string
	epochs := map[uint64]bool{}
	for _, r := range lines(t, out) {
		got = append(got, r.Data)
		epochs[r.Epoch] = true
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %d lines, want %d, or others", len(got), len(want))
	}
	if len(epochs) != 1 {
		t.Errorf("got epochs %v, want one: the sender found another checksum at a mark", epochs)
	}
}

// What a sender never does: chunks come twice on one connection, unknown frames and damage.
func TestPythonByHand(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	address := python(t, out).Address
	src := &record.Source{Stream: record.Stream{Sender: receivertest.ID, Epoch: 1}}
	chunk := record.Chunk{Seq: 5, Source: src, File: file, Writer: &record.Writer{}, Data: []byte("x\n"), Len: 2, CRC: record.CRC([]byte("x\n"))}
	damaged := chunk
	damaged.Seq, damaged.CRC = 6, 1
	mark := record.Durable{}.Add(&chunk)
	for name, tc := range map[string]struct {
		frames []byte
		want   wire.Control
	}{
		"not hello": {wire.Ack{}.Append(nil), wire.Nack{Code: wire.Malformed}},
		"versions":  {wire.Hello{Versions: []uint64{2}}.Append(nil), wire.Nack{Code: wire.NoVersion}},
		"twice":     {slices.Concat(hello(src), batch(t, 1, chunk, chunk), batch(t, 2, chunk)), wire.Ack{Through: 2, Credit: 8 << 20}},
		"ping":      {append(hello(src), wire.Ping{Token: 1 << 63}.Append(nil)...), wire.Pong{Token: 1 << 63}},
		"optional":  {slices.Concat(hello(src), []byte{0, 0, 0, 3, 0x92, 64, 0x80}, wire.Ping{Token: 2}.Append(nil)), wire.Pong{Token: 2}},
		"unknown":   {append(hello(src), 0, 0, 0, 2, 0x91, 63), wire.Nack{Code: wire.Malformed}},
		"number":    {append(hello(src), batch(t, 2, chunk)...), wire.Nack{Code: wire.Malformed, Number: 1}},
		"damage":    {append(hello(src), batch(t, 1, damaged)...), wire.Nack{Code: wire.BadData, Number: 1}},
		"no array":  {append(hello(src), 0, 0, 0, 1, 7), wire.Nack{Code: wire.Malformed}},
		"cut off":   {append(hello(src), 0, 0, 0, 2, 0x92, 3), wire.Nack{Code: wire.Malformed}},
		"too long":  {append(hello(src), 0xff, 0, 0, 0), wire.Nack{Code: wire.Malformed}},
	} {
		if got := exchange(t, address, tc.frames, tc.want); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tc.want)
		}
	}
	if got := lines(t, out); len(got) != 1 || got[0].Seq != 5 {
		t.Errorf("got %+v, want one line", got)
	}
	nc := dial(t, address)
	_, _ = nc.Write(hello(src))
	f, _, err := wire.ReadControl(nc, nil)
	if w, ok := f.(wire.Welcome); !ok || len(w.Marks) != 1 || w.Marks[0] != mark || w.Limits.Check() != nil {
		t.Errorf("got %+v, %v, want WELCOME with mark %+v", f, err, mark)
	}
}

func hello(src *record.Source) []byte {
	return wire.Hello{Versions: []uint64{1, 9}, Sender: src.Sender, Epoch: 1, Streams: []record.Stream{{Epoch: 9}, src.Stream}}.Append(nil)
}

func batch(t *testing.T, number uint64, chunks ...record.Chunk) []byte {
	t.Helper()
	var enc wire.Encoder
	bufs, _, err := enc.Batch(number, chunks, wire.None)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Join(bufs, nil)
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err == nil {
		err = nc.SetDeadline(time.Now().Add(receivertest.Patience))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// exchange sends frames and reads up to the frame wanted, whatever its text, or to the end; it returns the last one.
func exchange(t *testing.T, address string, frames []byte, want wire.Control) (last wire.Control) {
	t.Helper()
	nc := dial(t, address)
	defer nc.Close()
	if _, err := nc.Write(frames); err != nil {
		t.Fatal(err)
	}
	for last != want {
		f, _, err := wire.ReadControl(nc, nil)
		if err != nil {
			break
		}
		if n, ok := f.(wire.Nack); ok {
			n.Text = ""
			f = n
		}
		last = f
	}
	return last
}
