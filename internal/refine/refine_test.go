package refine

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ftfuse/internal/filter"
	"ftfuse/internal/record"
)

// The rule of these tests: a D denies a line, an R rewrites it, a T sends it elsewhere.
func ruleOf(t testing.TB, limits ...*Limit) *Rule {
	t.Helper()
	targets := []string{"main"}
	set, err := filter.New(filter.Options{Targets: targets, Filters: []filter.Filter{
		{Action: "deny", Contains: "D"},
		{Action: "rewrite", Match: "^(.*)R(.*)$", Rewrite: "<$2|$1>"},
		{Action: "allow", Contains: "T", Targets: []string{"other"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return &Rule{Name: "r", Targets: targets, Filter: set, Limits: limits}
}

// naive says what becomes of one line, "" for nothing.
func naive(line string) (text, target string) {
	body, end := strings.TrimSuffix(line, "\n"), line[len(strings.TrimSuffix(line, "\n")):]
	if strings.Contains(body, "D") {
		return "", ""
	}
	if i := strings.LastIndex(body, "R"); i >= 0 { // the first group is greedy
		body = "<" + body[i+1:] + "|" + body[:i] + ">"
	}
	target = "main"
	if strings.Contains(body, "T") {
		target = "other"
	}
	return body + end, target
}

// spool is where payload lies.
type spool map[uint64][]byte

func (s spool) read(e record.Extent, p []byte) error {
	if n := copy(p, s[e.Spool][e.Off:]); n < int(e.Len) {
		return fmt.Errorf("spool %d at %d: %w", e.Spool, e.Off, record.ErrGone)
	}
	return nil
}

func stage(rule *Rule, s spool) *Stage {
	return New(Options{Read: s.read}, &Table{Fallback: rule, Decide: func(string, string) *Rule { return rule }})
}

var (
	source = &record.Source{Host: "h"}
	writer = &record.Writer{Kind: record.Opener, UID: 1000, Unit: "app.service"}
)

// chunkOf lays text into spools, in pieces.
func chunkOf(t *rapid.T, s spool, text string, marked bool) record.Chunk {
	c := record.Chunk{Source: source, File: &record.File{Mount: "m", Path: "p", Rule: "old"}, Writer: writer, Handle: 7, Offset: 1000, Time: 5e9,
		CRC: record.CRC([]byte(text)), Len: uint32(len(text)), Records: uint32(strings.Count(text, "\n"))}
	for rest, id := text, uint64(1); rest != ""; id++ {
		n := rapid.IntRange(1, len(rest)).Draw(t, "extent")
		s[id] = append([]byte("head"), rest[:n]...)
		c.Extents = append(c.Extents, record.Extent{Spool: id, Off: 4, Len: uint32(n)})
		rest = rest[n:]
	}
	for rest := len(text); marked && rest > 0; {
		n := rapid.IntRange(1, rest).Draw(t, "mark")
		c.Marks = append(c.Marks, record.Mark{Len: uint32(n), Delta: int64(len(c.Marks))})
		rest -= n
	}
	if !strings.HasSuffix(text, "\n") {
		c.Flags |= record.Continued
	}
	return c
}

func drawText(t *rapid.T) string {
	lines := rapid.SliceOfN(rapid.StringMatching(`[abDRT ]{0,6}`), 1, 12).Draw(t, "lines")
	text := strings.Join(lines, "\n")
	if rapid.Bool().Draw(t, "long") { // runs that are worth referring to
		text = strings.ReplaceAll(text, "a", strings.Repeat("a", 1500))
	}
	if rapid.Bool().Draw(t, "ends") || text == "" {
		text += "\n"
	}
	return text
}

func TestRefine(t *testing.T) {
	rule := ruleOf(t)
	rapid.Check(t, func(t *rapid.T) {
		text, s := drawText(t), spool{}
		c := chunkOf(t, s, text, rapid.Bool().Draw(t, "marks"))
		want := map[string]string{}
		cut := record.Cut{}
		for _, line := range strings.SplitAfter(text, "\n") {
			if line == "" {
				continue
			}
			out, target := naive(line)
			if target == "" {
				cut.Bytes += uint32(len(line))
				cut.Records += uint32(strings.Count(line, "\n"))
			}
			want[target] += out
		}
		got := check(t, s, &c, stage(rule, s).Refine([]record.Chunk{c}))
		for _, target := range []string{"main", "other"} {
			if got.text[target] != want[target] {
				t.Fatalf("%s: got %q, want %q", target, got.text[target], want[target])
			}
		}
		if got.cut != cut {
			t.Fatalf("taken out: got %+v, want %+v", got.cut, cut)
		}
	})
}

// seen is what came out.
type seen struct {
	text    map[string]string // by target
	cut     record.Cut
	limited uint64
}

// check holds what came out to its form: it covers the input without holes, agrees in itself, and every byte of the
// spools is either payload or spent.
func check(t *rapid.T, s spool, in *record.Chunk, out []record.Chunk) seen {
	got := seen{text: map[string]string{}}
	offset, records := in.Offset, uint32(0)
	covered := map[uint64][]bool{}
	for id, b := range s {
		covered[id] = make([]bool, len(b)-4)
	}
	for i := range out {
		c := &out[i]
		if c.Offset != offset || c.File.Rule != "r" || c.Handle != in.Handle {
			t.Fatalf("chunk %d at %d of rule %s, want it at %d, of rule r", i, c.Offset, c.File.Rule, offset)
		}
		cover(t, covered, c.Spent)
		if c.Gap != nil {
			offset += c.Gap.Bytes
			got.limited += c.Gap.Bytes
			records += uint32(c.Gap.Records)
			continue
		}
		offset += uint64(c.Input())
		records += c.Records + c.Cut.Records
		got.cut.Bytes += c.Cut.Bytes
		got.cut.Records += c.Cut.Records
		if text := payloadOf(t, s, c, covered); len(text) > 0 {
			got.text[c.Targets[0]] += text
		}
	}
	if offset != in.Offset+uint64(in.Len) || records != in.Records {
		t.Fatalf("covers up to %d with %d records, want %d and %d", offset, records, in.Offset+uint64(in.Len), in.Records)
	}
	if last := &out[len(out)-1]; last.Gap == nil && last.Flags&record.Continued != in.Flags&record.Continued {
		t.Fatalf("the last chunk has flags %d, want those of the input: %d", last.Flags, in.Flags)
	}
	for id, bits := range covered {
		if i := slices.Index(bits, false); i >= 0 {
			t.Fatalf("byte %d of spool %d is neither payload nor spent", i, id)
		}
	}
	return got
}

func cover(t *rapid.T, covered map[uint64][]bool, list []record.Extent) {
	for _, e := range list {
		for i := e.Off - 4; i < e.Off-4+int64(e.Len); i++ {
			if covered[e.Spool][i] {
				t.Fatalf("byte %d of spool %d comes twice", i, e.Spool)
			}
			covered[e.Spool][i] = true
		}
	}
}

func payloadOf(t *rapid.T, s spool, c *record.Chunk, covered map[uint64][]bool) string {
	text := bytes.Clone(c.Data)
	for _, e := range c.Extents {
		text = append(text, s[e.Spool][e.Off:e.Off+int64(e.Len)]...)
	}
	cover(t, covered, c.Extents)
	marked := uint32(0)
	for _, m := range c.Marks {
		marked += m.Len
	}
	switch {
	case len(text) != int(c.Len) || record.CRC(text) != c.CRC:
		t.Fatalf("got %d bytes with checksum %08x, want %d and %08x", len(text), record.CRC(text), c.Len, c.CRC)
	case c.Marks != nil && marked != c.Len:
		t.Fatalf("marks of %d bytes, want %d", marked, c.Len)
	}
	return string(text)
}

func TestMarksKeepTheirTimes(t *testing.T) {
	s := spool{1: []byte("headone\nDtwo\nthree\n")}
	c := record.Chunk{Source: source, File: &record.File{Path: "p"}, Writer: writer, Len: 15, Records: 3, CRC: record.CRC([]byte("one\nDtwo\nthree\n")), Time: 1e9, Clock: record.Written,
		Marks: []record.Mark{{Len: 4, Delta: 0}, {Len: 5, Delta: 10}, {Len: 6, Delta: 20}}, Extents: []record.Extent{{Spool: 1, Off: 4, Len: 15}}}
	out := stage(ruleOf(t), s).Refine([]record.Chunk{c})
	want := []record.Mark{{Len: 4, Delta: 0}, {Len: 6, Delta: 20}}
	if len(out) != 1 || !slices.Equal(out[0].Marks, want) || out[0].Time != c.Time {
		t.Fatalf("got %+v, want one chunk with marks %v", out, want)
	}
}

func TestPiecesFollowTheFirst(t *testing.T) {
	s := stage(ruleOf(t), spool{})
	piece := func(text string, flags record.Flags) record.Chunk {
		return record.Chunk{Source: source, File: &record.File{Path: "p"}, Writer: writer, Handle: 3, Flags: flags, Len: uint32(len(text)), Data: []byte(text),
			Records: uint32(strings.Count(text, "\n")), CRC: record.CRC([]byte(text))}
	}
	var got strings.Builder
	for _, c := range []record.Chunk{
		piece("xx D begins, ", record.Continued), piece("goes on, ", record.Continues|record.Continued), piece("ends\nnext\n", record.Continues),
		piece("fine begins, ", record.Continued), piece("with a D at its end\n", record.Continues),
	} {
		for _, o := range s.Refine([]record.Chunk{c}) {
			got.Write(o.Data)
		}
	}
	if want := "next\nfine begins, with a D at its end\n"; got.String() != want {
		t.Fatalf("got %q, want %q: a long line is judged by its first piece", got.String(), want)
	}
}
