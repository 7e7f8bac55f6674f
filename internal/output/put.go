package output

import (
	"context"
	"fmt"

	"ftfuse/internal/ledger"
	"ftfuse/internal/record"
)

// waiter is a Put that has not been answered.
type waiter struct {
	chunks []record.Chunk
	done   chan error // holds one answer
}

// Put appends the chunks to their files. Chunks at or below their stream's mark are dropped as duplicates.
// After an error nothing of this call is promised, but part of it may be there and marked: calling again is right.
// The calls for one stream must come one after the other, each after the one before it has succeeded.
func (o *Output) Put(ctx context.Context, chunks []record.Chunk) error {
	for i := range chunks {
		if err := check(&chunks[i]); err != nil {
			return err
		}
	}
	w := &waiter{chunks, make(chan error, 1)}
	o.qmu.Lock()
	o.waiting = append(o.waiting, w)
	o.qmu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-o.turn:
	case <-ctx.Done():
		if o.withdraw(w) {
			return ctx.Err()
		}
		return <-w.done // somebody is at work with our chunks; that is bounded by the disk
	}
	o.pulse.Begin()
	o.lead()
	o.pulse.End()
	o.turn <- struct{}{}
	return <-w.done
}

// withdraw takes w out of the queue and says whether it was still there.
func (o *Output) withdraw(w *waiter) bool {
	o.qmu.Lock()
	defer o.qmu.Unlock()
	for i := range o.waiting {
		if o.waiting[i] == w {
			o.waiting = append(o.waiting[:i], o.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// lead does the work of everybody who waits. The caller has the turn.
func (o *Output) lead() {
	o.qmu.Lock()
	group := o.waiting
	o.waiting = nil
	o.qmu.Unlock()
	if len(group) == 0 {
		return
	}
	var all []*record.Chunk
	for _, w := range group {
		for i := range w.chunks {
			all = append(all, &w.chunks[i])
		}
	}
	err := o.deliver(all)
	o.stats.open.Store(int64(o.files.len()))
	if err != nil {
		o.stats.fail(err)
	}
	for _, w := range group {
		if err != nil && o.covered(w.chunks) {
			w.done <- nil
		} else {
			w.done <- err
		}
	}
}

// covered says whether all chunks lie at or below their marks.
func (o *Output) covered(chunks []record.Chunk) bool {
	for i := range chunks {
		if m, err := o.mark(chunks[i].Source.Stream); err != nil || chunks[i].Seq > m.Seq {
			return false
		}
	}
	return true
}

func check(c *record.Chunk) error {
	switch {
	case c.Source == nil:
		return fmt.Errorf("put chunk %d: it has no source: %w", c.Seq, record.ErrRefused)
	case c.Gap == nil && c.File == nil:
		return fmt.Errorf("put chunk %v/%d: it has no file: %w", c.Source.Sender, c.Seq, record.ErrRefused)
	case len(c.Data) != int(c.Len) || c.Gap != nil && c.Len != 0:
		return fmt.Errorf("put chunk %v/%d: got %d bytes, want %d: %w", c.Source.Sender, c.Seq, len(c.Data), c.Len, record.ErrRefused)
	}
	return nil
}

// deliver appends the chunks in as many steps as their files and sizes need. The caller has the turn.
func (o *Output) deliver(chunks []*record.Chunk) error {
	if o.closed {
		return fmt.Errorf("put to output %s: %w", o.o.Name, record.ErrClosed)
	}
	select {
	case <-o.reopen:
		o.files.doubtAll()
	default:
	}
	if o.dirty {
		if err := o.settle(); err != nil {
			return err
		}
	}
	if err := o.trim(); err != nil {
		return err
	}
	defer o.batch.reset() // an idle output holds no chunks and no text
	for len(chunks) > 0 {
		o.pulse.Beat()
		n, err := o.collect(chunks)
		if err == nil {
			err = o.append()
		}
		if err != nil {
			return fmt.Errorf("put to output %s: %w", o.o.Name, err)
		}
		chunks = chunks[n:]
	}
	return nil
}

// trim keeps the ledger small whatever names peers send: a million files are a million positions there.
func (o *Output) trim() (err error) {
	if o.names > o.o.MaxNames {
		o.names, err = o.o.Book.Trim(o.o.MaxNames)
	}
	return err
}

// collect fills the batch with the first chunks and returns how many it took, duplicates included.
func (o *Output) collect(chunks []*record.Chunk) (int, error) {
	b := &o.batch
	b.reset()
	for i, c := range chunks {
		if i > 0 && b.bytes+int64(c.Len) > maxBytes {
			return i, nil
		}
		mark, ok := b.marks[c.Source.Stream]
		if !ok {
			var err error
			if mark, err = o.mark(c.Source.Stream); err != nil {
				return 0, err
			}
		}
		if c.Seq <= mark.Seq {
			b.duplicates++
			continue
		}
		seen := o.o.View(c)
		var text int64 // about
		if o.form != nil && seen != nil {
			text = estimate(o.form, seen)
		}
		large := text > largeText
		if large && len(b.marks) > 0 || b.text > maxText {
			return i, nil // it goes alone; there is enough
		}
		if b.bytes += int64(c.Len); c.Gap != nil {
			b.gaps.add(c.Gap)
		}
		if seen != nil && (seen.Len > 0 || c.Gap != nil && o.form != nil && o.form.Gaps()) {
			r, err := o.run(c)
			if err == errManyRuns {
				return i, nil
			} else if err != nil {
				return 0, err
			}
			o.render(r, seen, text)
			b.records += int64(seen.Records)
		}
		if b.marks[c.Source.Stream] = mark.Add(c); large {
			return i + 1, nil
		}
	}
	return len(chunks), nil
}

// render adds c, of about text bytes, to r.
func (o *Output) render(r *run, c *record.Chunk, text int64) {
	switch {
	case o.form == nil:
		r.parts = append(r.parts, c.Data)
		r.Len += int64(c.Len)
	case text > largeText:
		r.large, r.text = c, newPiece()
		s := newSummer(r.Sums[:0], r.Size)
		r.text = o.pieces(r, func(p []byte) { s.add(p); r.Len += int64(len(p)) })
		r.Sums = s.end()
	default:
		before := r.held()
		r.render(o.form, c, text)
		o.batch.text += r.held() - before
	}
}

// pieces renders a large chunk and hands it on piece by piece. It returns its buffer, empty.
func (o *Output) pieces(r *run, f func([]byte)) []byte {
	rest := o.form.Append(r.text[:0], r.large, func(p []byte) []byte {
		if len(p) < spillText {
			return p
		}
		f(p)
		return p[:0]
	})
	f(rest)
	return rest[:0]
}

// append writes the batch between its intent and its commit. The caller has the turn.
func (o *Output) append() error {
	b := &o.batch
	if len(b.marks) == 0 {
		o.stats.add(b, 0)
		return nil
	}
	in := b.intent()
	o.dirty = true
	if len(in.Runs) > 0 { // else only marks move
		if err := o.o.Book.Begin(in, o.o.Disk); err != nil {
			return err
		}
	}
	o.o.step("intent")
	written, err := o.write()
	if err != nil {
		o.undo()
		return err
	}
	o.o.step("written")
	positions := b.positions(o.o.now().UnixNano())
	if err := o.o.Book.Commit(positions, in.Marks, o.o.Disk); err != nil {
		// It may be there all the same: settle finds out, and covered then answers for it.
		if serr := o.settle(); serr == nil && o.has(in.Marks) {
			o.stats.add(b, written)
			return nil
		}
		return err
	}
	o.o.step("committed")
	o.dirty = false
	o.remember(in.Marks)
	for i := range positions {
		b.runs[i].file.pos = positions[i]
	}
	o.stats.add(b, written)
	return nil
}

func (o *Output) remember(marks []record.Durable) {
	o.mmu.Lock()
	defer o.mmu.Unlock()
	for _, m := range marks {
		o.keep(m)
	}
}

// has says whether the marks hold.
func (o *Output) has(marks []record.Durable) bool {
	for _, m := range marks {
		if now, err := o.mark(m.Stream); err != nil || now.Seq < m.Seq {
			return false
		}
	}
	return true
}

// write puts every run behind the end of its file.
func (o *Output) write() (written int64, err error) {
	for _, r := range o.batch.runs {
		if err := o.writeRun(r); err != nil {
			return 0, err
		}
		written += r.Len
		o.o.step("run")
	}
	if o.o.Disk {
		for _, r := range o.batch.runs {
			if err := r.file.sync(); err != nil {
				return 0, err
			}
		}
		o.o.step("synced")
	}
	return written, nil
}

// undo cuts off what this process has just written of the batch, where nobody else has written behind it, and takes
// the intent back. What fails here is left to settle.
func (o *Output) undo() {
	var at []ledger.Position
	for _, r := range o.batch.runs {
		cut, size, err := r.file.cut(r.Size, r.Size+r.wrote)
		if err != nil {
			o.stats.fail(err)
			return
		}
		if !cut && r.wrote > 0 {
			o.stats.uncertain.Add(r.wrote)
		}
		r.file.pos.Size = size
		at = append(at, r.file.pos)
	}
	if err := o.o.Book.Commit(at, nil, o.o.Disk); err != nil {
		o.stats.fail(err)
		return
	}
	o.dirty = false
}
