package capture

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ftfuse/internal/record"
)

// cutLine is a line as the naive reader finds it.
type cutLine struct{ content, end []byte }

// naiveLines splits a whole text byte by byte.
func naiveLines(e record.LineEnd, text []byte) (lines []cutLine) {
	from := 0
	for i := 0; i < len(text); {
		n := 0
		crlf := bytes.HasPrefix(text[i:], []byte("\r\n"))
		switch b := text[i]; {
		case crlf && (e == record.CRLF || e == record.Any):
			n = 2
		case b == '\n' && (e == record.LF || e == record.Any), b == '\r' && (e == record.CR || e == record.Any), b == 0 && (e == record.NUL || e == record.Any):
			n = 1
		default:
			i++
			continue
		}
		lines = append(lines, cutLine{text[from:i], text[i : i+n]})
		i += n
		from = i
	}
	if from < len(text) {
		lines = append(lines, cutLine{text[from:], nil})
	}
	return lines
}

// outcome is what becomes of a text: records, what was cut out of them, and those that were dropped.
type outcome struct {
	records []string
	cut     int
	dropped []int // their lengths
}

// naive does to a whole text what streams do piece by piece.
func naive(m *meta, text []byte) (o outcome) {
	limit := m.MaxRecord
	if m.LineEnd == record.CRLF || m.LineEnd == record.Any {
		limit = max(limit, 2)
	}
	pattern := m.Join.Start + m.Join.Continue
	var group []byte
	lines := 0
	done := func() {
		if lines > 0 {
			o.records = append(o.records, string(group))
		}
		group, lines = nil, 0
	}
	for _, l := range naiveLines(m.LineEnd, text) {
		all := slices.Concat(l.content, l.end)
		if len(all) > limit {
			done()
			switch m.TooLong {
			case record.Split:
				o.records = append(o.records, string(all))
			case record.Truncate:
				kept := l.content[:min(limit, len(l.content))]
				o.records = append(o.records, string(kept)+string(l.end))
				o.cut += len(l.content) - len(kept)
			default:
				o.dropped = append(o.dropped, len(all))
			}
			continue
		}
		starts := pattern == "" || regexp.MustCompile(pattern).Match(l.content) == (m.Join.Start != "")
		if starts || len(group)+len(all) > limit {
			done()
		}
		group, lines = append(group, all...), lines+1
		if pattern != "" && lines == m.Join.Lines || len(group) == limit {
			done()
		}
	}
	done()
	return o
}

// arrived puts together what a receiver makes of the chunks of one handle.
func arrived(t *rapid.T, chunks []record.Chunk, text []byte) (o outcome) {
	var cur []byte
	gone, open := 0, false // of a record that goes on
	end := func() {
		o.records = append(o.records, string(cur))
		cur, open = nil, false
	}
	pos := 0
	for i := range chunks {
		c := &chunks[i]
		if int(c.Offset) != pos || c.Input() != c.Len {
			t.Fatalf("chunk %d at %d for %d bytes, want at %d for %d", i, c.Offset, c.Input(), pos, c.Len)
		}
		if got := c.Flags&record.Continues != 0; got != open {
			t.Fatalf("chunk %d continues %v, want %v: %+v", i, got, open, c)
		}
		var data []byte
		for _, e := range append(c.Extents[:len(c.Extents):len(c.Extents)], c.Spent...) {
			data = append(data, text[e.Off:e.Off+int64(e.Len)]...)
		}
		if g := c.Gap; g != nil {
			if g.Reason != record.TooLong || int(g.Bytes) != len(data) || !bytes.Equal(data, text[pos:pos+len(data)]) {
				t.Fatalf("chunk %d: gap %+v over %q", i, *g, data)
			}
			pos += len(data)
			gone += len(data)
			switch {
			case open:
				o.cut, gone = o.cut+gone, 0
				if c.Flags&record.Continued == 0 || g.Records != 0 {
					t.Fatalf("chunk %d: gap within a record with flags %v and %d records", i, c.Flags, g.Records)
				}
			case g.Records == 1:
				o.dropped, gone = append(o.dropped, gone), 0
			}
			continue
		}
		if gone > 0 || !bytes.Equal(data, text[pos:pos+int(c.Len)]) || record.CRC(data) != c.CRC {
			t.Fatalf("chunk %d is %q after %d shed bytes, want %q", i, data, gone, text[pos:pos+int(c.Len)])
		}
		pos += len(data)
		ended := 0
		for rest := data; ; {
			n := record1(t, c, data, len(data)-len(rest))
			cur, rest = append(cur, rest[:n]...), rest[n:]
			if len(rest) == 0 && c.Flags&record.Continued != 0 {
				open = true
				break
			}
			end()
			if ended++; len(rest) == 0 {
				break
			}
		}
		if ended != int(c.Records) {
			t.Fatalf("chunk %d: %d records end, want %d: %q %+v", i, c.Records, ended, data, c)
		}
	}
	if pos != len(text) || open {
		t.Fatalf("chunks stand for %d of %d bytes, open %v", pos, len(text), open)
	}
	return o
}

// record1 returns the length of the record that begins at from.
func record1(t *rapid.T, c *record.Chunk, data []byte, from int) int {
	if c.File.Unit == record.Line {
		if i := bytes.IndexByte(data[from:], '\n'); i >= 0 {
			return i + 1
		}
		return len(data) - from
	}
	if c.File.Unit != record.Framed {
		t.Fatalf("unit %v", c.File.Unit)
	}
	at := 0
	for _, m := range c.Marks {
		if at == from && m.Len > 0 {
			return int(m.Len)
		}
		at += int(m.Len)
	}
	if from < len(data) {
		t.Fatalf("no mark at %d of %d: %+v", from, len(data), c.Marks)
	}
	return 0
}

func drawFraming(t *rapid.T) framing {
	f := framing{
		LineEnd: rapid.SampledFrom([]record.LineEnd{record.LF, record.CRLF, record.CR, record.NUL, record.Any}).Draw(t, "end"),
		TooLong: rapid.SampledFrom([]record.LongRecord{record.Split, record.Truncate, record.DropLong}).Draw(t, "long"),
	}
	switch rapid.IntRange(0, 3).Draw(t, "join") {
	case 0:
		f.Join = record.Join{Start: "^[ab]", Wait: time.Second}
	case 1:
		f.Join = record.Join{Continue: "^a", Wait: time.Second}
	}
	f.Join.Lines = rapid.IntRange(1, 5).Draw(t, "lines")
	if rapid.Bool().Draw(t, "gather") {
		f.Gather = record.Gather{Wait: time.Second, Bytes: rapid.Int64Range(0, 100).Draw(t, "bytes"), Records: rapid.IntRange(0, 5).Draw(t, "records")}
	}
	return f
}

func (c *Capture) testStream(m *meta) *stream {
	c.registered, c.o.Source, c.pass.patterns = map[uint64]mark{}, &record.Source{}, patterns{}
	return c.streamFor(m, 0)
}

// Whatever ends lines, joins them, or becomes of long ones, in whatever portions it comes and wherever the process is
// killed and reads again from where it had registered: what arrives is what a reader of the whole text finds.
func TestFramedModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &meta{ID: 7, MaxRecord: rapid.IntRange(1, 24).Draw(t, "limit"), MaxAge: int64(time.Second), framing: drawFraming(t)}
		alphabet := "abccc\n\r\r\n\x00" + strings.Repeat("c", rapid.SampledFrom([]int{0, 60}).Draw(t, "longer"))
		text := rapid.SliceOfN(rapid.SampledFrom([]byte(alphabet)), 0, 200).Draw(t, "text")
		ages, most := rapid.Bool().Draw(t, "ages"), rapid.SampledFrom([]int{5, 200}).Draw(t, "most")
		writers := []*record.Writer{{PID: 1}, {PID: 2}}
		if m.Join.Start+m.Join.Continue != "" {
			writers = writers[:1]
		}
		written := rapid.Bool().Draw(t, "written")
		c := new(Capture)
		s := c.testStream(m)
		now := time.Unix(1, 0)
		var out []record.Chunk
		for pos := 0; pos < len(text); {
			n := rapid.IntRange(1, min(len(text)-pos, most)).Draw(t, "n")
			if pos != int(s.next()) {
				t.Fatalf("next byte is %d, want %d", s.next(), pos)
			}
			p := piece{spool: 1, off: int64(pos), data: bytes.Clone(text[pos : pos+n]), at: now.UnixNano(), writer: rapid.SampledFrom(writers).Draw(t, "w"), written: written}
			out = s.feed(p, now, out)
			clear(p.data) // the follower reads the next there
			pos += n
			switch rapid.IntRange(0, 4).Draw(t, "then") {
			case 0:
				out = s.flush(out)
			case 1:
				if now = now.Add(time.Second); ages {
					out = s.age(now, out)
				}
			case 2: // killed: the queue has some of what it was given
				out = out[:rapid.IntRange(0, len(out)).Draw(t, "registered")]
				clear(c.registered)
				for i := range out {
					c.noteMark(&out[i])
				}
				s = c.streamFor(m, 0)
				pos = int(s.next())
			}
		}
		out = s.end(out)
		if s.waits() || s.cost() > 0 || int(s.next()) != len(text) {
			t.Fatalf("ended and something waits: %+v", s)
		}
		got, want := arrived(t, out, text), naive(m, text)
		for i := range out {
			ch := &out[i]
			if ch.Gap == nil && ch.File.Unit == record.Framed && ch.Len > 0 && (ch.Clock == record.Written) != written {
				t.Fatalf("chunk %d: clock %v of written %v", i, ch.Clock, written)
			}
			if int(ch.Len) > s.limit {
				t.Fatalf("chunk %d has %d bytes, limit %d", i, ch.Len, s.limit)
			}
		}
		if ages && (s.join != nil || m.TooLong == record.DropLong || m.LineEnd == record.Any) {
			return // age decides what belongs together
		}
		if !slices.Equal(got.records, want.records) || got.cut != want.cut || !slices.Equal(got.dropped, want.dropped) {
			t.Fatalf("%v of %q\ngot  %q, cut %d, dropped %v\nwant %q, cut %d, dropped %v", m.framing, text, got.records, got.cut, got.dropped,
				want.records, want.cut, want.dropped)
		}
	})
}

// feedAll feeds portions, with a turn's end after each, and returns the chunks.
func feedAll(s *stream, now time.Time, portions ...string) (out []record.Chunk) {
	w := &record.Writer{PID: 1}
	for _, p := range portions {
		out = s.feed(piece{spool: 1, off: int64(s.next()), data: []byte(p), writer: w, at: now.UnixNano()}, now, out)
		out = s.flush(out)
	}
	return out
}

// lens returns what the chunks hold, in bytes; a gap is negative.
func lens(chunks []record.Chunk) (n []int) {
	for _, c := range chunks {
		if c.Gap != nil {
			n = append(n, -int(c.Gap.Bytes))
		} else {
			n = append(n, int(c.Len))
		}
	}
	return n
}

// A CR that was read last waits for what follows, for as long as a partial record may.
func TestCRWaits(t *testing.T) {
	m := &meta{MaxRecord: 100, MaxAge: int64(time.Second), framing: framing{LineEnd: record.Any}}
	s, now := new(Capture).testStream(m), time.Unix(1, 0)
	if out := feedAll(s, now, "one\r"); len(out) > 0 {
		t.Fatalf("got %v, want nothing yet", lens(out))
	}
	if out := feedAll(s, now, "\ntwo\r"); !slices.Equal(lens(out), []int{5}) {
		t.Fatalf("got %v, want the first line", lens(out))
	}
	if at := s.due(); !at.Equal(now.Add(time.Second)) {
		t.Fatalf("due at %v, want a second after %v", at, now)
	}
	if out := s.age(now.Add(time.Second), nil); !slices.Equal(lens(out), []int{4}) || out[0].Records != 1 || out[0].Flags != 0 {
		t.Fatalf("got %+v, want the second line", out)
	}
	m.LineEnd = record.CRLF
	s = new(Capture).testStream(m)
	feedAll(s, now, "one\r")
	if out := s.age(now.Add(time.Second), nil); !slices.Equal(lens(out), []int{3}) || out[0].Flags != record.Continued {
		t.Fatalf("got %+v, want a piece without the CR", out)
	}
	if out := feedAll(s, now, "\n"); !slices.Equal(lens(out), []int{2}) || out[0].Records != 1 || out[0].Flags != record.Continues {
		t.Fatalf("got %+v, want the line's end", out)
	}
}

// Lines are one record until one begins the next, or nothing comes for the rule's wait, or another writer's comes.
func TestJoinEnds(t *testing.T) {
	m := &meta{MaxRecord: 100, framing: framing{Join: record.Join{Continue: `^\s`, Wait: time.Second, Lines: 4}}}
	s, now := new(Capture).testStream(m), time.Unix(1, 0)
	if out := feedAll(s, now, "panic\n", "\tat a\n\tat", " b\n"); len(out) > 0 || !s.waits() {
		t.Fatalf("got %v, want nothing yet", lens(out))
	}
	if out := s.age(now.Add(time.Second-1), nil); len(out) > 0 {
		t.Fatalf("got %v before its time", lens(out))
	}
	out := s.age(now.Add(time.Second), nil)
	if !slices.Equal(lens(out), []int{18}) || out[0].Records != 1 || out[0].File.Unit != record.Framed || len(out[0].Marks) != 1 {
		t.Fatalf("got %+v, want one record", out)
	}
	out = feedAll(s, now, "a\n b\n c\n d\n e\nf\n")
	if !slices.Equal(lens(out), []int{14}) || out[0].Records != 2 { // four lines, and the fifth alone
		t.Fatalf("got %+v", out)
	}
	out = s.feed(piece{spool: 1, off: int64(s.next()), data: []byte(" by another\n"), writer: &record.Writer{PID: 2}}, now, nil)
	if out = s.end(out); !slices.Equal(lens(out), []int{2, 12}) || out[0].Writer.PID != 1 || out[1].Writer.PID != 2 {
		t.Fatalf("got %+v", out)
	}
}

// A pattern that does not compile joins nothing, and says so once.
func TestBadPattern(t *testing.T) {
	p := patterns{}
	for i := range 2 {
		if j, err := p.joiner(record.Join{Start: "("}); j != nil || (err != nil) != (i == 0) {
			t.Fatalf("time %d: got %v, %v", i, j, err)
		}
	}
}

// A record without end is shed in parts and holds no memory, and one that is dropped counts once.
func TestEndlessRecordIsShed(t *testing.T) {
	for _, long := range []record.LongRecord{record.Truncate, record.DropLong} {
		m := &meta{MaxRecord: 1000, MaxAge: int64(time.Second), framing: framing{TooLong: long}}
		s, now := new(Capture).testStream(m), time.Unix(1, 0)
		chunk := strings.Repeat("x", 64<<10)
		var out []record.Chunk
		for range 100 {
			out = append(out, feedAll(s, now, chunk)...)
			if s.cost() > 10 || s.gone.len > 2*record.MaxChunk {
				t.Fatalf("%v: %d pieces in memory", long, s.cost())
			}
		}
		shed := feedAll(s, now, "\nnext\n")
		out = append(out, shed...)
		var bytes, records, kept uint64
		for _, c := range out {
			if c.Gap != nil {
				bytes, records = bytes+c.Gap.Bytes, records+c.Gap.Records
			} else {
				kept += uint64(c.Len)
			}
		}
		want, drops := uint64(1000+1+5), uint64(0)
		if long == record.DropLong {
			want, drops = 5, 1
		}
		if kept != want || records != drops || bytes+kept != 100*64<<10+6 {
			t.Fatalf("%v: %d bytes kept, %d in gaps, %d records", long, kept, bytes, records)
		}
	}
}

// How much of a record is registered is counted once, and the next process knows that it goes on.
func TestBegunIsCountedOnce(t *testing.T) {
	const piece, head = record.Continues | record.Continued, record.Continued
	c := &Capture{registered: map[uint64]mark{}}
	for i, s := range []struct {
		ch   record.Chunk
		want mark
	}{
		{record.Chunk{Offset: 100, Len: 10, Flags: head}, mark{Pos: 110, Continues: true, Begun: 10}},
		{record.Chunk{Offset: 100, Len: 10, Flags: head}, mark{Pos: 110, Continues: true, Begun: 10}},
		{record.Chunk{Offset: 110, Span: 5, Flags: piece}, mark{Pos: 115, Continues: true, Begun: 15}},
		{record.Chunk{Offset: 115, Flags: piece, Gap: &record.Gap{Reason: record.TooLong, Bytes: 3}}, mark{Pos: 118, Continues: true, Begun: 18}},
		{record.Chunk{Offset: 118, Len: 1, Flags: record.Continues}, mark{Pos: 119}},
		{record.Chunk{Offset: 119, Flags: head, Gap: &record.Gap{Reason: record.TooLong, Bytes: 9}}, mark{Pos: 128, Begun: 9}},
		{record.Chunk{Offset: 128, Gap: &record.Gap{Reason: record.TooLong, Bytes: 2, Records: 1}}, mark{Pos: 130}},
		{record.Chunk{Offset: 130, Flags: head, Gap: &record.Gap{Reason: record.Limited, Bytes: 4}}, mark{Pos: 134, Continues: true, Begun: 4}},
	} {
		s.ch.Handle = 7
		if c.noteMark(&s.ch); c.registered[7] != s.want {
			t.Fatalf("chunk %d: got %+v, want %+v", i, c.registered[7], s.want)
		}
	}
}
