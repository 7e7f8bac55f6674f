package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ftfuse/internal/record"
)

// fakeQueue is what the model's capture registers with: it remembers everything, and can be rolled back.
type fakeQueue struct {
	store     record.Store
	chunks    []record.Chunk
	free      []bool // by chunk: released
	snapshots []fakeSnapshot
}

type fakeSnapshot struct {
	at   int // chunks before it
	data []byte
}

func (q *fakeQueue) Put(ctx context.Context, chunks []record.Chunk) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, c := range chunks {
		c.Extents, c.Marks = slices.Clone(c.Extents), slices.Clone(c.Marks)
		q.chunks, q.free = append(q.chunks, c), append(q.free, false)
	}
	return nil
}

func (q *fakeQueue) payload(c *record.Chunk) ([]byte, error) {
	var all []byte
	for _, e := range c.Extents {
		p := make([]byte, e.Len)
		if err := q.store.ReadExtent(e, p); err != nil {
			return nil, err
		}
		all = append(all, p...)
	}
	if record.CRC(all) != c.CRC {
		return nil, fmt.Errorf("handle %x at %d: checksum does not hold", c.Handle, c.Offset)
	}
	return all, nil
}

func (q *fakeQueue) recovery() Recovery {
	from := 0
	var r Recovery
	for _, s := range q.snapshots {
		from, r.Snapshot = s.at, s.data
	}
	r.Replay = func(f func([]record.Chunk) error) error { return f(slices.Clone(q.chunks[from:])) }
	r.Extents = func(f func(record.Extent)) error {
		for i, c := range q.chunks {
			for _, e := range c.Extents {
				if !q.free[i] {
					f(e)
				}
			}
		}
		return nil
	}
	return r
}

// modelHandle is an open file: w for open capture, log for the other.
type modelHandle struct {
	id    uint64
	file  *modelFile
	spool *Spool
	log   *Log
	w     *os.File
	wrote []byte

	alphabet string
	over     bool
}

type modelFile struct {
	f    *File
	path string
	want []byte // as readers see it
}

type model struct {
	*Capture
	t       *rapid.T
	dir     string
	queue   *fakeQueue
	now     time.Time
	files   []*modelFile
	handles []*modelHandle
	all     []*modelHandle // also those that are over
}

func (m *model) begin() {
	c, err := New(Options{Dir: m.dir, Source: &record.Source{Host: "h", BootID: "b"}, Sink: m.queue, SegmentSize: 4096, Bury: 1,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		m.t.Fatal(err)
	}
	m.Capture, m.queue.store = c, c
	if err := c.Recover(m.queue.recovery()); err != nil {
		m.t.Fatal(err)
	}
	for i, f := range m.files {
		f.f = m.open(i)
	}
}

func (m *model) open(i int) *File {
	path := m.files[i].path
	f, err := m.File(record.FileKey{Dev: 1, Ino: uint64(i + 1)}, path, func(flags int) (*os.File, error) { return os.OpenFile(path, flags, 0) })
	if err != nil {
		m.t.Fatal(err)
	}
	return f
}

func (m *model) step(ctx context.Context) {
	m.now = m.now.Add(1100 * time.Millisecond)
	for m.turn(ctx, m.now) {
	}
}

func (m *model) openHandle() {
	f := rapid.SampledFrom(m.files).Draw(m.t, "file")
	h := &modelHandle{file: f, alphabet: "ab\n"}
	d := record.Decision{Rule: "r", Send: true, MaxRecord: 64, MaxAge: time.Second, Readback: int64(rapid.SampledFrom([]int{0, 50, 1 << 20}).Draw(m.t, "readback"))}
	if rapid.Bool().Draw(m.t, "framing") {
		f := drawFraming(m.t)
		d.LineEnd, d.Join, d.TooLong, d.Gather = f.LineEnd, f.Join, f.TooLong, f.Gather
		h.alphabet = "aaaabbbb\n\r\r\n\x00"
		d.MaxRecord = rapid.IntRange(1, 64).Draw(m.t, "limit")
	}
	var err error
	if rapid.Bool().Draw(m.t, "raw") {
		if h.spool, err = f.f.OpenSpool(d, "m", f.path, &record.Writer{}); err == nil {
			h.id = h.spool.r.id
			h.w, err = os.OpenFile(h.spool.r.path, os.O_WRONLY|os.O_APPEND, 0)
		}
	} else if h.log, err = f.f.OpenLog(d, "m", f.path, &record.Writer{}); err == nil {
		h.id = h.log.h.meta.ID
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.handles, m.all = append(m.handles, h), append(m.all, h)
}

func (m *model) write() {
	if len(m.handles) == 0 {
		return
	}
	h := rapid.SampledFrom(m.handles).Draw(m.t, "handle")
	p := rapid.SliceOfN(rapid.SampledFrom([]byte(h.alphabet)), 1, 90).Draw(m.t, "p")
	for i := range p { // bytes that tell where they are from
		if p[i] == 'a' || p[i] == 'b' {
			p[i] = byte('a' + (len(h.wrote)+i+int(h.id))%26)
		}
	}
	var err error
	if h.w != nil {
		_, err = h.w.Write(p)
		h.file.f.Size() // so that the order in the view is the order of writing
	} else {
		_, err = h.log.Write(p, 0, true, false, &record.Writer{Kind: record.Thread, TID: uint32(len(p) % 3)}, 0)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	h.wrote = append(h.wrote, p...)
	h.file.want = append(h.file.want, p...)
}

func (m *model) closeHandle() {
	if len(m.handles) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.handles)-1).Draw(m.t, "close")
	m.end(m.handles[i])
	m.handles = slices.Delete(m.handles, i, i+1)
}

func (m *model) end(h *modelHandle) {
	h.over = true
	if h.w != nil {
		h.w.Close()
	}
	if h.spool != nil {
		h.spool.Release()
	} else if h.log != nil {
		h.log.Release()
	}
}

// deliver reads and releases some of what is queued, in any order.
func (m *model) deliver(all bool) {
	var free []record.Extent
	for i := range m.queue.chunks {
		if m.queue.free[i] || !all && rapid.IntRange(0, 2).Draw(m.t, "deliver") > 0 {
			continue
		}
		if _, err := m.queue.payload(&m.queue.chunks[i]); err != nil {
			m.t.Fatalf("chunk %d is queued and cannot be read: %v", i, err)
		}
		m.queue.free[i] = true
		free = append(free, m.queue.chunks[i].Extents...)
	}
	m.Release(free)
}

func (m *model) snapshot() {
	m.queue.snapshots = append(m.queue.snapshots, fakeSnapshot{len(m.queue.chunks), m.Snapshot()})
}

// crash ends the process: log handles end with it, raw spools stay with their writers. The queue may have lost what
// it took last, if nobody has it yet.
func (m *model) crash() {
	saved := rapid.Bool().Draw(m.t, "saved")
	if saved {
		for _, f := range m.files {
			f.f.Size()
		}
		if err := m.saveAll(); err != nil {
			m.t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		m.t.Fatal(err)
	}
	q := m.queue
	for n := rapid.IntRange(0, 4).Draw(m.t, "rollback"); n > 0 && len(q.chunks) > 0 && !q.free[len(q.chunks)-1]; n-- {
		q.chunks, q.free = q.chunks[:len(q.chunks)-1], q.free[:len(q.free)-1]
	}
	q.snapshots = slices.DeleteFunc(q.snapshots, func(s fakeSnapshot) bool { return s.at > len(q.chunks) })
	m.handles = slices.DeleteFunc(m.handles, func(h *modelHandle) bool {
		h.over = h.over || h.log != nil
		return h.over
	})
	for _, h := range m.handles {
		h.spool = nil // no RELEASE will come
	}
	m.begin()
	for _, f := range m.files {
		if saved {
			m.compare(f)
			continue
		}
		f.want = m.content(f) // order between handles may be another
	}
}

// content returns what readers see; what is gone reads as zero.
func (m *model) content(f *modelFile) []byte {
	b := make([]byte, f.f.Size())
	for i := range b {
		if _, err := f.f.ReadAt(b[i:i+1], int64(i)); err != nil && !errors.Is(err, record.ErrGone) {
			m.t.Fatalf("read %s at %d: %v", f.path, i, err)
		}
	}
	return b
}

func (m *model) compare(f *modelFile) {
	got := m.content(f)
	if len(got) != len(f.want) {
		m.t.Fatalf("reader sees %d bytes, want %d", len(got), len(f.want))
	}
	base := int(f.f.view.base)
	for i := range got {
		if i >= base && got[i] != f.want[i] {
			m.t.Fatalf("reader sees %q at %d (base %d), want %q", got[i], i, base, f.want[i])
		}
	}
}

func (m *model) truncate() {
	f := rapid.SampledFrom(m.files).Draw(m.t, "file")
	n := rapid.IntRange(0, len(f.want)).Draw(m.t, "size")
	if err := f.f.Truncate(int64(n)); err != nil {
		m.t.Fatal(err)
	}
	f.want = f.want[:n]
}

// check holds what arrived against what was written.
func (m *model) check(final bool) {
	got := map[uint64][]byte{}
	for i := range m.queue.chunks {
		c := &m.queue.chunks[i]
		n := int(c.Len)
		if c.Gap != nil {
			if c.Gap.Reason != record.TooLong {
				m.t.Fatalf("chunk %d is a gap: %+v", i, *c.Gap)
			}
			n = int(c.Gap.Bytes)
		}
		if int(c.Offset) != len(got[c.Handle]) {
			m.t.Fatalf("handle %x: chunk at %d, want at %d", c.Handle, c.Offset, len(got[c.Handle]))
		}
		got[c.Handle] = append(got[c.Handle], make([]byte, n)...)
		p := got[c.Handle][c.Offset:]
		for _, h := range m.all {
			if h.id == c.Handle {
				if len(h.wrote) < len(got[c.Handle]) {
					m.t.Fatalf("handle %x: %d bytes registered, %d written", h.id, len(got[c.Handle]), len(h.wrote))
				}
				copy(p, h.wrote[c.Offset:])
			}
		}
		if c.Gap == nil && record.CRC(p) != c.CRC {
			m.t.Fatalf("handle %x at %d: other bytes than were written", c.Handle, c.Offset)
		}
	}
	if !final {
		return
	}
	for _, h := range m.all {
		if !bytes.Equal(got[h.id], h.wrote) {
			m.t.Fatalf("handle %x: %d of %d bytes arrived", h.id, len(got[h.id]), len(h.wrote))
		}
	}
}

// finish ends everything and expects nothing to be left.
func (m *model) finishAll() {
	for _, h := range m.handles {
		m.end(h)
	}
	ctx := context.Background()
	for range 8 {
		m.step(ctx)
		m.deliver(true)
	}
	m.now = m.now.Add(shedRest)
	m.step(ctx)
	m.check(true)
	for _, f := range m.files {
		m.compare(f)
		f.f.Removed()
		f.f.Close()
	}
	m.log.seal(true)
	for range 2000 { // an hour of housekeeping: views that took long to save, as on a slow disk, are not saved soon again
		if !m.holdsSomething() {
			break
		}
		m.step(ctx)
	}
	if m.holdsSomething() {
		m.t.Fatalf("left over: %d raws, %d segments, %d files, %d streams, %d hot, %d idle, %d marks %v, %d followed", len(m.raws), len(m.segs),
			len(m.Capture.files), len(m.pass.streams), len(m.pass.hot), len(m.pass.idle), len(m.registered), m.registered, len(m.follow))
	}
	entries, err := os.ReadDir(m.dir)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "views.") && e.Name() != "run" && e.Name() != "lock" {
			m.t.Fatalf("left over: %s, %v", e.Name(), err)
		}
	}
	m.Close()
}

func (m *model) holdsSomething() bool {
	return len(m.raws)+len(m.segs)+len(m.Capture.files)+len(m.pass.streams)+len(m.pass.hot)+len(m.pass.idle)+len(m.registered)+len(m.pass.segs)+len(m.follow) > 0
}

// Whatever happens to handles, queue and process: every byte arrives once and in order, readers see what was
// written, and nothing is left behind.
func TestCaptureModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "model")
		if err != nil {
			rt.Fatal(err)
		}
		m := &model{t: rt, dir: dir, queue: &fakeQueue{}, now: time.Now()}
		for i := range 2 {
			path := filepath.Join(dir, "..", fmt.Sprintf("%s-below-%d", filepath.Base(dir), i))
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				rt.Fatal(err)
			}
			m.files = append(m.files, &modelFile{path: path})
		}
		m.begin()
		defer func() {
			for _, h := range m.all {
				if h.w != nil {
					h.w.Close()
				}
			}
			m.Close()
		}()
		stopped, cancel := context.WithCancel(context.Background())
		cancel()
		ops := []func(){m.openHandle, m.openHandle, m.write, m.write, m.write, m.write, m.closeHandle, m.truncate, m.snapshot,
			func() { m.deliver(false) }, func() { m.step(context.Background()) }, func() { m.step(context.Background()) },
			func() { m.step(stopped) }, func() { m.crash() }}
		for range rapid.IntRange(1, 60).Draw(rt, "ops") {
			rapid.SampledFrom(ops).Draw(rt, "op")()
			m.check(false)
		}
		m.finishAll()
	})
}
