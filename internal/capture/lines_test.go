package capture

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

var lineEnds = []record.LineEnd{record.LF, record.CRLF, record.CR, record.NUL, record.Any}

// Line ends are found where a naive reader finds them, also behind the first step of a scan.
func TestFindEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.SampledFrom(lineEnds).Draw(t, "end")
		before := strings.Repeat("x", rapid.SampledFrom([]int{0, scanStep - 2, scanStep - 1, scanStep, 3 * scanStep}).Draw(t, "before"))
		text := append([]byte(before), rapid.SliceOfN(rapid.SampledFrom([]byte("a\n\r\x00")), 0, 8).Draw(t, "text")...)
		lines, count := naiveLines(e, text), uint64(0)
		for _, l := range lines {
			if len(l.end) > 0 {
				count++
			}
		}
		if got := (&meta{framing: framing{LineEnd: e}}).recordsIn(text); got != count {
			t.Fatalf("%v: %d records in %q, want %d", e, got, text, count)
		}
		n, end := findEnd(e, text)
		want := cutLine{}
		if len(lines) > 0 {
			want = lines[0]
		}
		if held := len(text) - n; end == 0 && held == 1 && text[n] == '\r' && (e == record.CRLF || e == record.Any) {
			if !bytes.HasPrefix(slices.Concat(want.content, want.end), text) { // the CR may be half of an end
				t.Fatalf("%v: holds back the end of %q", e, text)
			}
		} else if n != len(want.content) || end != len(want.end) {
			t.Fatalf("%v: got %d and %d in %q, want %d and %d", e, n, end, text, len(want.content), len(want.end))
		}
	})
}

// Single bytes make chunks that the wire takes and hold no memory, whatever ends records, joins or shortens them.
func TestSingleBytesFramed(t *testing.T) {
	for _, f := range []framing{
		{LineEnd: record.NUL}, {LineEnd: record.Any}, {Join: record.Join{Continue: "."}}, {LineEnd: record.CRLF, TooLong: record.Truncate},
		{TooLong: record.DropLong}, {TooLong: record.Truncate}, {Join: record.Join{Continue: "."}, Gather: record.Gather{Wait: time.Hour}},
	} {
		s := new(Capture).testStream(&meta{ID: 7, framing: f, MaxRecord: 10_000})
		w, now := &record.Writer{}, time.Now()
		var out []record.Chunk
		const n = 100_000
		for i := range n {
			b := []byte{'x'}
			if i%3 == 0 && i < n/2 {
				b[0] = "\n\r\x00"[i%9/3]
			}
			out = s.feed(piece{spool: uint64(i % 2), off: int64(i), data: b, writer: w, written: true, at: int64(i)}, now, out)
			if got := s.cost(); got > 3*maxPieces && !s.gathers() {
				t.Fatalf("%+v: %d pieces in memory", f, got)
			}
		}
		total := 0
		for _, c := range s.end(out) {
			if c.Gap != nil {
				total += int(c.Gap.Bytes)
			}
			if err := wire.Check(&c); err != nil {
				t.Fatalf("%+v: %v", f, err)
			}
			total += int(c.Len)
		}
		if total != n {
			t.Fatalf("%+v: %d bytes, want %d", f, total, n)
		}
	}
}

// What a rule says of records is in the spools, and the next process goes by it.
func TestFramingIsKept(t *testing.T) {
	d := decision
	d.LineEnd, d.TooLong, d.MaxRecord = record.CRLF, record.Truncate, 12
	d.Join = record.Join{Start: `^\S`, Wait: time.Hour, Lines: 3}
	d.Gather = record.Gather{Records: 2, Wait: time.Hour}
	const gone = "a\r\n b\r\n c\r\n d\r\n"
	for _, kind := range []string{"open", "write", "below"} {
		t.Run(kind, func(t *testing.T) {
			l := &framedLife{t: t, kind: kind, dir: t.TempDir(), path: below(t, ""), sink: newChain()}
			l.begin(d)
			l.write(gone + "e\r\n")
			if l.turn(context.Background(), time.Now()); string(l.sink.all()) != gone {
				t.Fatalf("got %q, want %q", l.sink.all(), gone)
			}
			l.Close()
			chunks, data := l.sink.chunks, l.sink.all()
			l.from, l.sink = l.sink.replay(true), newChain()
			l.begin(d)
			l.write(" f\r\n0123456789abcdef\r\ng")
			l.end()
			l.turn(context.Background(), time.Now())
			if err := l.finish(); err != nil {
				t.Fatal(err)
			}
			l.Close()
			want := []string{"a\r\n b\r\n c\r\n", " d\r\n", "e\r\n f\r\n", "0123456789ab\r\n", "g"}
			if kind == "below" { // another handle goes on where the first has ended
				want = slices.Replace(want, 2, 3, "e\r\n", " f\r\n")
			}
			checkFramed(t, append(chunks, l.sink.chunks...), append(data, l.sink.all()...), want)
		})
	}
}

// framedLife is a process that takes what one program writes, by one kind of capture.
type framedLife struct {
	*Capture
	t               *testing.T
	kind, dir, path string
	sink            *chain
	from            Recovery
	id              uint64
	log             *Log
	spool           *Spool
	w               *os.File
}

func (l *framedLife) begin(d record.Decision) {
	c, err := New(Options{Dir: l.dir, Source: &record.Source{}, Sink: l.sink})
	if err != nil {
		l.t.Fatal(err)
	}
	l.Capture, l.sink.store = c, c
	if l.kind == "write" && l.id != 0 {
		l.from.Running = []uint64{l.id}
	}
	if err := c.Recover(l.from); err != nil {
		l.t.Fatal(err)
	}
	f := (&rig{Capture: c}).fileAt(l.t, l.path)
	switch {
	case l.kind == "below":
		if l.w == nil {
			l.w = appender(l.t, l.path)
		}
		err = c.PickUp(f, d, "m", "a.log", false)
	case l.kind == "write" && l.id == 0:
		if l.log, err = f.OpenLog(d, "m", "a.log", &record.Writer{}); err == nil {
			l.id = l.log.ID()
		}
	case l.kind == "write":
		l.log, err = f.AdoptLog(l.id, d, "m", "a.log", &record.Writer{})
	case l.id == 0:
		if l.spool, err = f.OpenSpool(d, "m", "a.log", &record.Writer{}); err == nil {
			l.id, l.w = l.spool.ID(), kernel(l.t, l.spool)
		}
	default:
		l.spool, err = f.AdoptSpool(l.id)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *framedLife) write(s string) {
	if l.log != nil {
		mustLog(l.t, l.log, s)
		return
	}
	mustWrite(l.t, l.w, s)
	if l.kind == "below" {
		l.followBelow()
	}
}

func (l *framedLife) end() {
	switch l.kind {
	case "write":
		l.log.Release()
	case "open":
		l.w.Close()
		l.spool.Release()
	default:
		l.w.Close()
		l.followBelow()
	}
}

// checkFramed holds what came against the records that are wanted.
func checkFramed(t *testing.T, chunks []record.Chunk, data []byte, want []string) {
	var got []string
	open, gaps := false, uint64(0)
	for _, c := range chunks {
		if c.Gap != nil {
			gaps += c.Gap.Bytes
		}
		for _, m := range c.Marks {
			if rec := string(data[:m.Len]); open {
				got[len(got)-1] += rec
			} else {
				got = append(got, rec)
			}
			data, open = data[m.Len:], c.Flags&record.Continued != 0
		}
		if c.Gap == nil && c.File.Unit != record.Framed {
			t.Errorf("chunk of unit %v", c.File.Unit)
		}
	}
	if !slices.Equal(got, want) || gaps != 4 {
		t.Errorf("got %q and %d bytes in gaps, want %q and 4", got, gaps, want)
	}
}

// Spools of versions that knew nothing of this are read as they were.
func TestOldMeta(t *testing.T) {
	m, err := decodeMeta([]byte(`{"id":7,"file":{"Unit":0},"max_record":100,"max_age":5,"readback":9}`))
	if err != nil || m.framing != (framing{}) {
		t.Fatalf("got %+v, %v", m, err)
	}
	if js, err := m.encode(); err != nil || bytes.Contains(js, []byte("join")) || bytes.Contains(js, []byte("gather")) || bytes.Contains(js, []byte("line_end")) {
		t.Fatalf("wrote %s, %v", js, err)
	}
	s := new(Capture).testStream(m)
	if out := feedAll(s, time.Now(), "a\r\nb"); !slices.Equal(lens(out), []int{3}) || out[0].File.Unit != record.Line || out[0].Marks != nil {
		t.Fatalf("got %+v", out)
	}
}
