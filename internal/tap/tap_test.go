package tap

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ftfuse/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	source = &record.Source{Host: "web1"}
	file   = &record.File{Mount: "log", Path: "nginx/access.log", Rule: "web", Unit: record.Line}
	writer = &record.Writer{Kind: record.Thread, PID: 7, UID: 33, Comm: "nginx"}
)

// lined is a chunk with text as its payload.
func lined(text string) record.Chunk {
	return record.Chunk{Source: source, File: file, Writer: writer, Time: 1000, Records: uint32(strings.Count(text, "\n")),
		Len: uint32(len(text)), Data: []byte(text)}
}

// heard is an Out that keeps everything.
type heard struct {
	mu      sync.Mutex
	records []string
	skipped Skipped
	got     chan struct{} // a token for each call
}

func newHeard() *heard { return &heard{got: make(chan struct{}, 1<<16)} }

func (h *heard) Record(r Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	text := string(r.Data)
	if r.Chunk.Gap != nil {
		text = "gap " + r.Chunk.Gap.Reason.String()
	}
	if r.Continues {
		text = "..." + text
	}
	if r.Continued {
		text += "..."
	}
	h.records = append(h.records, text)
	return nil
}

func (h *heard) Skipped(s Skipped) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.skipped.add(s)
	h.got <- struct{}{}
	return nil
}

func (h *heard) Flush() error { h.got <- struct{}{}; return nil }

// until waits until ok holds of what was heard.
func (h *heard) until(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.After(60 * time.Second); ; {
		h.mu.Lock()
		done := ok()
		h.mu.Unlock()
		if done {
			return
		}
		select {
		case <-h.got:
		case <-end:
			t.Fatalf("heard %q, skipped %+v", h.records, h.skipped)
		}
	}
}

// listen runs a listener until the test ends.
func listen(t *testing.T, h *Hub, f Filter, out Out) *Listener {
	t.Helper()
	l, err := h.Listen(f)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx, out) }()
	t.Cleanup(func() {
		l.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return l
}

func TestRecords(t *testing.T) {
	var h Hub
	out := newHeard()
	listen(t, &h, Filter{}, out)
	piece := lined("end\none\nbegin")
	piece.Flags = record.Continues | record.Continued
	written := record.Chunk{Source: source, File: &record.File{Unit: record.Write}, Records: 2, Len: 5, Data: []byte("ab\ncd"),
		Marks: []record.Mark{{Len: 2}, {Len: 3}}}
	framed := written
	framed.File = &record.File{Unit: record.Framed}
	framed.Marks = []record.Mark{{Len: 4}, {Len: 0}, {Len: 1}}
	binary := record.Chunk{Source: source, File: &record.File{Unit: record.Binary}, Records: 1, Len: 3, Data: []byte("\n\n\n")}
	gap := record.Chunk{Source: source, Gap: &record.Gap{Reason: record.Expired}}
	hollow := record.Chunk{Source: source, File: file, Span: 10}
	h.Offer([]record.Chunk{piece, written, framed, binary, gap, hollow, lined("last\n")})
	want := []string{"...end\n", "one\n", "begin...", "ab", "\ncd", "ab\nc", "", "d", "\n\n\n", "gap expired", "last\n"}
	out.until(t, func() bool { return len(out.records) >= len(want) })
	if !slices.Equal(out.records, want) {
		t.Errorf("heard %q, want %q", out.records, want)
	}
}

func TestFilter(t *testing.T) {
	seven, eight, www := uint32(7), uint32(8), uint32(33)
	nobody := lined("x\n")
	nobody.Writer = &record.Writer{}
	none := uint32(0)
	for i, c := range []struct {
		f     Filter
		chunk record.Chunk
		want  bool
	}{
		{Filter{}, lined("x\n"), true},
		{Filter{Path: func(m, p string) bool { return m == "log" && p == "nginx/access.log" }}, lined("x\n"), true},
		{Filter{Path: func(m, p string) bool { return false }}, lined("x\n"), false},
		{Filter{Rule: "web"}, lined("x\n"), true},
		{Filter{Rule: "other"}, lined("x\n"), false},
		{Filter{Rule: "web"}, record.Chunk{Source: source, Gap: &record.Gap{}}, false},
		{Filter{Host: func(n string) bool { return n == "web1" }}, lined("x\n"), true},
		{Filter{Host: func(n string) bool { return n != "web1" }}, lined("x\n"), false},
		{Filter{PID: &seven, UID: &www}, lined("x\n"), true},
		{Filter{PID: &eight}, lined("x\n"), false},
		{Filter{PID: &seven, UID: &seven}, lined("x\n"), false},
		{Filter{UID: &none}, nobody, false},
	} {
		if got := c.f.wants(&c.chunk); got != c.want {
			t.Errorf("case %d: got %v, want %v", i, got, c.want)
		}
	}
}

// What is offered may be used again by whoever offered it.
func TestOfferKeepsNothing(t *testing.T) {
	var h Hub
	l, err := h.Listen(Filter{})
	if err != nil {
		t.Fatal(err)
	}
	c := lined("before\n")
	c.Marks = []record.Mark{{Len: 7}}
	c.Extents = []record.Extent{{Len: 7}}
	h.Offer([]record.Chunk{c})
	copy(c.Data, "after!\n")
	c.Marks[0].Len, c.Extents[0].Len = 1, 1
	it := l.waiting[0].chunk
	if string(it.Data) != "before\n" || it.Marks[0].Len != 7 || it.Extents[0].Len != 7 {
		t.Errorf("got %q %v %v, want what was offered", it.Data, it.Marks, it.Extents)
	}
	l.Close()
	if h.listeners.Load() != nil {
		t.Error("after the last one has gone, an offer still looks for listeners")
	}
}

// stuck never gets on with its first record.
type stuck struct{ release chan struct{} }

func (s stuck) Record(Record) error   { <-s.release; return errors.New("gone") }
func (s stuck) Skipped(Skipped) error { return nil }
func (s stuck) Flush() error          { return nil }

// Who does not read holds up nobody, keeps a bounded amount, and what does not fit is counted.
func TestListenerThatDoesNotRead(t *testing.T) {
	var h Hub
	l, err := h.Listen(Filter{})
	if err != nil {
		t.Fatal(err)
	}
	out := stuck{make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- l.Run(t.Context(), out) }()
	other := newHeard()
	listen(t, &h, Filter{}, other)
	big := lined(strings.Repeat("x", 1<<20-1) + "\n")
	const n = 50
	for i := range n { // would hang here
		h.Offer([]record.Chunk{big})
		other.until(t, func() bool { return len(other.records) == i+1 })
	}
	l.mu.Lock()
	held, skipped := l.held, l.skipped
	l.mu.Unlock()
	if held > maxHeld || skipped.Slow < n-maxHeld>>20 {
		t.Errorf("holds %d bytes, skipped %+v, want at most %d bytes and the rest counted", held, skipped, maxHeld)
	}
	for range maxWaiting + 10 {
		h.Offer([]record.Chunk{{Source: source, Gap: &record.Gap{}}})
	}
	l.mu.Lock()
	if len(l.waiting) > maxWaiting {
		t.Errorf("%d chunks wait, want at most %d", len(l.waiting), maxWaiting)
	}
	l.mu.Unlock()
	close(out.release)
	if err := <-done; err == nil {
		t.Error("Run = nil, want the error of out")
	}
	l.Close()
}

func TestTooMany(t *testing.T) {
	var h Hub
	var all []*Listener
	for range MaxListeners {
		l, err := h.Listen(Filter{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	if _, err := h.Listen(Filter{}); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	all[3].Close()
	all[3].Close()
	if l, err := h.Listen(Filter{}); err != nil {
		t.Errorf("after one has gone: %v", err)
	} else {
		l.Close()
	}
}

// A rate lets through as much in each part of a second as in any other.
func TestRateIsEven(t *testing.T) {
	m := meter{rate: 100}
	now := time.Unix(0, 0)
	var got [10]int
	for i := range 1000 { // ten records each millisecond
		got[i/100] += m.take(10, now)
		now = now.Add(time.Millisecond)
	}
	for i, n := range got {
		if n < 9 || n > 20 { // the first may have what was saved up
			t.Errorf("tenth %d of the second: %d records, want about 10 of %v", i, n, got)
		}
	}
	slow := meter{rate: 0.5}
	n := 0
	for i := range 10 {
		n += slow.take(100, now.Add(time.Duration(i)*time.Second))
	}
	if n != 5 {
		t.Errorf("%d records in ten seconds, want 5", n)
	}
	if n := (&meter{}).take(1e6, now); n != 1e6 {
		t.Errorf("without a rate: %d", n)
	}
}

// disk is a store that counts what is read of it.
type disk struct {
	data string
	read atomic.Int64
}

func (d *disk) ReadExtent(e record.Extent, p []byte) error {
	if e.Spool != 1 {
		return fmt.Errorf("%w", record.ErrGone)
	}
	d.read.Add(int64(copy(p, d.data[e.Off:])))
	return nil
}

// Of a payload on disk only the beginning is read when the rate allows no more, and what is gone is counted.
func TestPayloadsOnDisk(t *testing.T) {
	d := &disk{data: strings.Repeat("0123456\n", 1<<17)}
	h := Hub{Store: d}
	c := lined(d.data)
	c.Data, c.Extents = nil, []record.Extent{{Spool: 1, Len: 100}, {Spool: 1, Off: 100, Len: uint32(len(d.data)) - 100}}
	out := newHeard()
	listen(t, &h, Filter{Rate: 50}, out)
	h.Offer([]record.Chunk{c})
	out.until(t, func() bool { return len(out.records) == 5 && out.skipped.Rate > 0 })
	if out.skipped != (Skipped{Rate: 1<<17 - 5}) {
		t.Errorf("skipped %+v", out.skipped)
	}
	if d.read.Load() > 2*step {
		t.Errorf("read %d bytes for five lines", d.read.Load())
	}
	whole := newHeard()
	listen(t, &h, Filter{}, whole)
	gone := c
	gone.Extents = []record.Extent{{Spool: 2, Len: c.Len}}
	h.Offer([]record.Chunk{c, gone})
	whole.until(t, func() bool { return len(whole.records) == 1<<17 && whole.skipped.Gone > 0 })
	if whole.skipped != (Skipped{Gone: 1 << 17}) {
		t.Errorf("skipped %+v", whole.skipped)
	}
}

// Chunks come from several goroutines while listeners come and go; each that stays hears everything, in order.
func TestManyAtOnce(t *testing.T) {
	var h Hub
	out := newHeard()
	listen(t, &h, Filter{}, out)
	var all sync.WaitGroup
	const peers, each = 4, 200
	for p := range peers {
		all.Go(func() {
			for i := range each {
				h.Offer([]record.Chunk{lined(fmt.Sprintf("%d %03d\n", p, i))})
			}
		})
	}
	all.Go(func() {
		for range 100 {
			l, err := h.Listen(Filter{Rate: 10})
			if err != nil {
				t.Error(err)
				return
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := l.Run(ctx, newHeard()); err != nil {
				t.Error(err)
			}
			l.Close()
		}
	})
	all.Wait()
	out.until(t, func() bool { return len(out.records) == peers*each })
	for p := range peers {
		var mine []string
		for _, r := range out.records {
			if strings.HasPrefix(r, fmt.Sprint(p, " ")) {
				mine = append(mine, r)
			}
		}
		if len(mine) != each || !slices.IsSorted(mine) {
			t.Errorf("peer %d: %d records, sorted %v", p, len(mine), slices.IsSorted(mine))
		}
	}
}

// However a chunk is marked, its records are its payload, piece by piece.
func TestSplitLosesNothing(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewSource(seed))
	for range 2000 {
		data := make([]byte, rnd.Intn(40))
		for i := range data {
			data[i] = "ab\n"[rnd.Intn(3)]
		}
		c := record.Chunk{File: &record.File{Unit: record.Unit(rnd.Intn(4))}, Len: uint32(len(data)), Data: data}
		for range rnd.Intn(5) {
			c.Marks = append(c.Marks, record.Mark{Len: uint32(rnd.Intn(12))})
		}
		got, next := "", uint64(0)
		err := split(&c, data, all, func(r Record) error {
			if r.Offset != next {
				t.Fatalf("a record at %d, want %d", r.Offset, next)
			}
			got, next = got+string(r.Data), next+uint64(len(r.Data))
			return nil
		})
		if err != nil || got != string(data) {
			t.Fatalf("%+v: got %q, %v", c, got, err)
		}
	}
}

func BenchmarkOffer(b *testing.B) {
	chunks := []record.Chunk{lined(strings.Repeat(strings.Repeat("x", 127)+"\n", 512))}
	b.Run("nobody", func(b *testing.B) {
		var h Hub
		b.ReportAllocs()
		for b.Loop() {
			h.Offer(chunks)
		}
	})
	b.Run("others", func(b *testing.B) { // who listens wants something else
		var h Hub
		for range MaxListeners {
			if _, err := h.Listen(Filter{Path: func(_, p string) bool { return p == "other" }}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportAllocs()
		for b.Loop() {
			h.Offer(chunks)
		}
	})
	b.Run("stuck", func(b *testing.B) {
		var h Hub
		if _, err := h.Listen(Filter{}); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			h.Offer(chunks)
		}
	})
}
