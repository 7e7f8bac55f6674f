package wire

import "ftfuse/internal/record"

// table numbers the distinct values that a head's rows refer to, from 1; 0 is nil. Chunks of one run mostly
// share pointers, so the last pointer is tried first, then all pointers, then the value.
type table[T comparable] struct {
	last     *T
	lastRef  uint32
	list     []*T
	pointers map[*T]uint32
	values   map[T]uint32
}

func (t *table[T]) ref(p *T) uint32 {
	if p == nil {
		return 0
	}
	if p == t.last {
		return t.lastRef
	}
	ref, ok := t.pointers[p]
	if !ok {
		if ref, ok = t.values[*p]; !ok {
			t.list = append(t.list, p)
			ref = uint32(len(t.list))
			t.values[*p] = ref
		}
		t.pointers[p] = ref
	}
	t.last, t.lastRef = p, ref
	return ref
}

// reset forgets everything: tables must not keep a past batch's values alive.
func (t *table[T]) reset() {
	t.last, t.lastRef = nil, 0
	clear(t.list)
	t.list = t.list[:0]
	if t.pointers == nil || len(t.pointers) > 4096 { // a map never shrinks
		t.pointers, t.values = make(map[*T]uint32), make(map[T]uint32)
		return
	}
	clear(t.pointers)
	clear(t.values)
}

// rowRefs are one row's references.
type rowRefs struct{ source, file, writer uint32 }

// heads writes heads. The zero value is ready; it is used by one goroutine at a time.
type heads struct {
	sources table[record.Source]
	files   table[record.File]
	writers table[record.Writer]
	refs    []rowRefs
}

func (h *heads) reset() {
	h.sources.reset()
	h.files.reset()
	h.writers.reset()
	h.refs = h.refs[:0]
}

func (h *heads) appendTables(b []byte) []byte {
	b = appendArray(b, len(h.sources.list))
	for _, s := range h.sources.list {
		b = appendSource(b, s)
	}
	b = appendArray(b, len(h.files.list))
	for _, f := range h.files.list {
		b = appendArray(b, 4)
		b = appendBin(b, f.Mount)
		b = appendBin(b, f.Path)
		b = appendBin(b, f.Rule)
		b = appendUint(b, uint64(f.Unit))
	}
	b = appendArray(b, len(h.writers.list))
	for _, w := range h.writers.list {
		b = appendArray(b, 10)
		b = appendUint(b, uint64(w.Kind))
		b = appendUint(b, uint64(w.PID))
		b = appendUint(b, uint64(w.TID))
		b = appendUint(b, uint64(w.UID))
		b = appendUint(b, uint64(w.GID))
		b = appendUint(b, w.Start)
		b = appendBin(b, w.Comm)
		b = appendBin(b, w.Exe)
		b = appendBin(b, w.Unit)
		b = appendBin(b, w.Container)
	}
	return b
}

func appendSource(b []byte, s *record.Source) []byte {
	n := 4
	if s.First != (record.SenderID{}) || s.Hops != "" {
		n = 6
	}
	b = appendArray(b, n)
	b = appendBin(b, s.Sender[:])
	b = appendUint(b, s.Epoch)
	b = appendBin(b, s.Host)
	b = appendBin(b, s.BootID)
	if n == 4 {
		return b
	}
	b = appendBin(b, s.First[:])
	return appendBin(b, s.Hops)
}

func readSource(r *reader) (s record.Source) {
	n := r.array("source", 4, maxElements)
	r.sender("sender", &s.Sender)
	s.Epoch = r.uint("epoch", maxUint64)
	s.Host = r.text("host", MaxName)
	s.BootID = r.text("boot id", MaxName)
	if n < 6 {
		r.skip(n - 4)
		return s
	}
	r.sender("first sender", &s.First)
	s.Hops = r.text("hops", uint64(record.HopLen*record.MaxHops))
	if len(s.Hops)%record.HopLen != 0 {
		r.fail("hops: got %d bytes, want a multiple of %d", len(s.Hops), record.HopLen)
	}
	r.skip(n - 6)
	return s
}

func readFile(r *reader) (f record.File) {
	n := r.array("file", 4, maxElements)
	f.Mount = r.text("mount", MaxName)
	f.Path = r.text("path", MaxPath)
	f.Rule = r.text("rule", MaxName)
	f.Unit = record.Unit(r.uint("unit", maxUint8))
	r.skip(n - 4)
	return f
}

func readWriter(r *reader) (w record.Writer) {
	n := r.array("writer", 10, maxElements)
	w.Kind = record.WriterKind(r.uint("kind", maxUint8))
	w.PID = uint32(r.uint("pid", maxUint32))
	w.TID = uint32(r.uint("tid", maxUint32))
	w.UID = uint32(r.uint("uid", maxUint32))
	w.GID = uint32(r.uint("gid", maxUint32))
	w.Start = r.uint("start", maxUint64)
	w.Comm = r.text("comm", MaxName)
	w.Exe = r.text("exe", MaxName)
	w.Unit = r.text("unit", MaxName)
	w.Container = r.text("container", MaxName)
	r.skip(n - 10)
	return w
}

// readTable reads an array of at most limit values of at least least bytes each, into one slice for all.
func readTable[T any](r *reader, what string, limit, least int, one func(*reader) T) []T {
	n := r.array(what, 0, limit)
	if n > (len(r.b)-r.off)/least {
		r.fail("%s: got %d, want at most %d in the bytes left", what, n, (len(r.b)-r.off)/least)
		return nil
	}
	list := make([]T, 0, n)
	for range n {
		list = append(list, one(r))
		if r.err != nil {
			return nil
		}
	}
	return list
}

func pick[T any](r *reader, what string, list []T, need bool) *T {
	ref := r.uint(what, uint64(len(list)))
	if ref == 0 {
		if need {
			r.fail("%s: got none, want one", what)
		}
		return nil
	}
	return &list[ref-1]
}
