package output

import (
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sys/unix"

	"ftfuse/internal/ledger"
	"ftfuse/internal/notice"
	"ftfuse/internal/record"
)

// verdict is what a crash left of one run.
type verdict int

const (
	nothing  verdict = iota // not a byte of it is there
	partly                  // its beginning is there and nothing else: may be cut
	complete                // all of it is there
	foreign                 // there are bytes that are not provably ours
	gone                    // the file is not there any more, or is shorter than it was
)

// settle ends what the ledger says is under way, after a crash or an error. The caller has the turn.
func (o *Output) settle() error {
	o.files.closeAll() // their positions and locks are in doubt
	if err := o.settleMove(); err != nil {
		return err
	}
	in, err := o.o.Book.Intent()
	if err != nil {
		return err
	}
	if in != nil {
		if err := o.settleIntent(in); err != nil {
			return err
		}
	}
	if err := o.refresh(); err != nil {
		return err
	}
	o.dirty = false
	return nil
}

// refresh takes over marks that turn out to be committed. What is already known to hold stays, even when a damaged
// ledger has lost it.
func (o *Output) refresh() error {
	o.mmu.Lock()
	defer o.mmu.Unlock()
	for s, m := range o.marks {
		now, err := o.o.Book.Mark(s)
		if err != nil {
			return err
		}
		if now.Seq > m.Seq {
			o.marks[s] = now
		}
	}
	return nil
}

func (o *Output) settleIntent(in *ledger.Intent) error {
	left := make([]*remains, len(in.Runs))
	defer func() {
		for _, l := range left {
			l.close()
		}
	}()
	whole := true
	for i := range in.Runs {
		l, err := o.inspect(&in.Runs[i])
		if err != nil {
			return err
		}
		left[i] = l
		whole = whole && l.verdict == complete
	}
	if whole {
		return o.finish(in, left)
	}
	return o.cutBack(in, left)
}

// finish commits an append that is in its files as a whole.
func (o *Output) finish(in *ledger.Intent, left []*remains) error {
	var at []ledger.Position
	for _, l := range left {
		if o.o.Disk {
			if err := unix.Fdatasync(l.fd); err != nil {
				return fmt.Errorf("fsync %s: %w", l.run.Path, err)
			}
		}
		o.stats.unowned.Add(l.size - (l.run.Size + l.run.Len))
		p := l.run.Position
		p.Size, p.Written = l.size, o.o.now().UnixNano()
		at = append(at, p)
	}
	if err := o.o.Book.Commit(at, in.Marks, o.o.Disk); err != nil {
		return err
	}
	o.remember(in.Marks)
	o.stats.finished.Add(1)
	o.log(slog.LevelInfo, "finished the append that was under way", slog.Int("files", len(in.Runs)))
	return nil
}

// cutBack undoes an append that is not in all its files, as far as that is provably ours.
func (o *Output) cutBack(in *ledger.Intent, left []*remains) error {
	var at []ledger.Position
	for _, l := range left {
		end := l.run.Size + l.run.Len
		switch ours := l.verdict == partly || l.verdict == complete && l.size == end; {
		case ours:
			if err := unix.Ftruncate(l.fd, l.run.Size); err != nil {
				return fmt.Errorf("truncate %s to %d: %w", l.run.Path, l.run.Size, err)
			}
			if o.o.Disk {
				if err := unix.Fdatasync(l.fd); err != nil {
					return fmt.Errorf("fsync %s: %w", l.run.Path, err)
				}
			}
			o.stats.cut.Add(l.size - l.run.Size)
			at = append(at, l.run.Position)
		case l.verdict == nothing:
			at = append(at, l.run.Position)
		default: // complete with others' bytes behind it, foreign, gone
			o.stats.uncertain.Add(l.run.Len)
			o.stats.unowned.Add(max(0, l.size-l.run.Size))
			o.log(slog.LevelWarn, "an append is in doubt and may be delivered twice", notice.OutputUncertain, slog.String("file", l.run.Path),
				slog.Int64("bytes", l.run.Len))
			if l.fd >= 0 {
				p := l.run.Position
				p.Size = l.size
				at = append(at, p)
			}
		}
	}
	if err := o.o.Book.Commit(at, nil, o.o.Disk); err != nil {
		return err
	}
	o.log(slog.LevelInfo, "took back the append that was under way", slog.Int("files", len(in.Runs)))
	return nil
}

// remains is what was found of a run; fd is -1 when the file is gone.
type remains struct {
	run     *ledger.Run
	fd      int
	size    int64
	verdict verdict
}

func (l *remains) close() {
	if l != nil && l.fd >= 0 {
		unix.Close(l.fd)
	}
}

// inspect finds the file of a run, also under another name beside its own, and judges what is in it.
func (o *Output) inspect(r *ledger.Run) (*remains, error) {
	l := &remains{run: r, fd: -1, verdict: gone}
	for _, name := range []string{r.Path, ""} {
		if name == "" {
			var ok bool
			if name, ok = o.base.find(r.Path, r.Key); !ok {
				return l, nil
			}
		}
		fd, err := o.base.open(name, false)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, errOdd) {
			continue
		} else if err != nil {
			return nil, err
		}
		s, err := fdState(fd)
		if err == nil && (s.key != r.Key || !s.regular) {
			unix.Close(fd)
			continue
		}
		if err == nil {
			s, err = claim(fd)
		}
		if err == nil {
			l.fd, l.size = fd, s.size
			l.verdict, err = judge(fd, s.size, r)
		}
		if err != nil {
			unix.Close(fd)
			l.fd = -1
			return nil, fmt.Errorf("settle %s: %w", name, err)
		}
		return l, nil
	}
	return l, nil
}

// judge compares the bytes behind the run's offset with what was to be written there. A write that was cut short by a
// kill or a full disk ends at a page of the file; after power loss whole pages may read as zeros. Anything else
// behind the offset is somebody else's.
func judge(fd int, size int64, r *ledger.Run) (verdict, error) {
	end := r.Size + r.Len
	switch {
	case size < r.Size:
		return gone, nil
	case size == r.Size && r.Len > 0:
		return nothing, nil
	case size < end && size%ledger.SumGrain != 0:
		return foreign, nil
	}
	buf := make([]byte, ledger.SumGrain)
	at, holes := r.Size, false
	for _, want := range r.Sums {
		n := min(ledger.SumGrain-at%ledger.SumGrain, end-at)
		if at+n > size {
			break
		}
		p := buf[:n]
		if got, err := unix.Pread(fd, p, at); err != nil {
			return foreign, err
		} else if int64(got) != n {
			return foreign, nil // it shrinks while we look
		}
		if record.CRC(p) != want {
			if !zeros(p) {
				return foreign, nil
			}
			holes = true
		}
		at += n
	}
	switch {
	case size < end, holes && size == end:
		return partly, nil
	case holes:
		return foreign, nil
	}
	return complete, nil
}

func zeros(p []byte) bool {
	for _, c := range p {
		if c != 0 {
			return false
		}
	}
	return true
}

// settleMove finishes a rotation or forgets it, by where the file is now.
func (o *Output) settleMove() error {
	m, err := o.o.Book.Move()
	if err != nil || m == nil {
		return err
	}
	s, err := o.base.stat(m.To)
	if err != nil && err != unix.ENOENT {
		return fmt.Errorf("stat %s: %w", m.To, err)
	}
	done := err == nil && s.key == m.Key
	if done {
		o.stats.rotated.Add(1)
	}
	return o.o.Book.EndMove(m, done, o.o.Disk)
}
