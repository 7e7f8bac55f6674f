package output

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/ledger"
	"ftfuse/internal/notice"
	"ftfuse/internal/record"
)

// file is one open output file. Whoever has the output's turn owns it.
type file struct {
	name    string
	host    string // whose data it was opened for
	fd      int
	pos     ledger.Position // as committed, or as found at open
	checked time.Time       // when the name was last seen to lead here
	used    time.Time
	doubt   bool // look at the name before the next append
	ofAll   *list.Element
	ofHost  *list.Element
}

const nameEvery = time.Second // how often a file's name is looked up again

var errLocked = errors.New("another receiver writes it (it holds the lock)")

// run returns the part of the batch that c belongs to.
func (o *Output) run(c *record.Chunk) (*run, error) {
	b := &o.batch
	name := o.path.render(c)
	if r, ok := b.byRun[string(name)]; ok {
		return r, nil
	}
	if len(b.runs) == maxRuns {
		return nil, errManyRuns
	}
	f, err := o.ready(string(name), c.Source.Host)
	if errors.Is(err, errOdd) {
		// Say one peer's file is another's directory: neither may keep the others waiting.
		o.stats.misplaced.Add(1)
		other := misplaced(string(name))
		if r, ok := b.byRun[other]; ok {
			return r, nil
		}
		f, err = o.ready(other, c.Source.Host)
	}
	if err != nil {
		return nil, err
	}
	return b.add(f), nil
}

// ready returns the file of that name, open, locked, rotated where that is due, and with pos at its real end.
func (o *Output) ready(name, host string) (*file, error) {
	now := o.o.now()
	f := o.files.get(name)
	if f != nil && o.moved(f, now) {
		o.files.drop(f)
		f = nil
	}
	if f == nil {
		var err error
		if f, err = o.openFile(name, host, now); err != nil {
			return nil, err
		}
	}
	f.used = now
	if err := o.measure(f); err != nil {
		return nil, err
	}
	if !o.due(f, now) {
		return f, nil
	}
	if err := o.rotate(f, now); err != nil {
		return nil, err
	}
	f, err := o.openFile(name, host, now)
	if err != nil {
		return nil, err
	}
	f.used = now
	return f, o.measure(f)
}

// moved says whether the name no longer leads to the open file: it was deleted, or renamed by somebody else.
func (o *Output) moved(f *file, now time.Time) bool {
	var st unix.Stat_t
	if unix.Fstat(f.fd, &st) == nil && st.Nlink > 0 {
		if !f.doubt && now.Sub(f.checked) < nameEvery && !now.Before(f.checked) {
			return false
		}
		f.doubt, f.checked = false, now
		s, err := o.base.stat(f.name)
		if err == nil && s.key == f.pos.Key {
			return false
		}
	}
	o.stats.reopened.Add(1)
	return true
}

func (o *Output) openFile(name, host string, now time.Time) (*file, error) {
	fd, err := o.base.open(name, true)
	if err != nil {
		return nil, err
	}
	s, err := claim(fd)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	f := &file{name: name, host: host, fd: fd, checked: now}
	known, ok, err := o.o.Book.Position(name)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	if ok && known.Key == s.key {
		f.pos = known
	} else {
		f.pos = ledger.Position{Path: name, Key: s.key, Size: s.size, Since: now.UnixNano()}
	}
	if !ok {
		o.names++
	}
	o.files.put(f)
	return f, nil
}

// claim locks a file against other receivers and says what it is.
func claim(fd int) (state, error) {
	s, err := fdState(fd)
	if err != nil {
		return s, err
	}
	if !s.regular {
		return s, fmt.Errorf("%w: it is no regular file", errOdd)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if err == unix.EWOULDBLOCK {
			err = errLocked
		}
		return s, err
	}
	return fdState(fd) // it may have grown until the lock was ours
}

// measure moves pos to the file's real end and counts what others did to it since the last append.
func (o *Output) measure(f *file) error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", f.name, err)
	}
	switch more := st.Size - f.pos.Size; {
	case more > 0:
		o.stats.unowned.Add(more)
	case more < 0:
		o.stats.truncated.Add(1)
		o.log(slog.LevelWarn, "output file was truncated by somebody else", notice.OutputTouched, slog.String("file", f.name))
	}
	f.pos.Size = st.Size
	return nil
}

// writeRun appends the bytes of r and finds out where they are.
func (o *Output) writeRun(r *run) error {
	f := r.file
	err := writeAll(f.fd, r.parts, &r.wrote)
	if r.large != nil {
		r.text = o.pieces(r, func(p []byte) {
			if err == nil {
				err = writeAll(f.fd, [][]byte{p}, &r.wrote)
			}
		})
	}
	if err != nil {
		return fmt.Errorf("write %s: got %d of %d bytes: %w", f.name, r.wrote, r.Len, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", f.name, err)
	}
	if st.Nlink == 0 {
		return fmt.Errorf("write %s: it was deleted meanwhile", f.name)
	}
	r.end = st.Size
	if more := st.Size - (r.Size + r.Len); more > 0 {
		o.stats.unowned.Add(more)
	} else if more < 0 {
		o.stats.truncated.Add(1)
	}
	return nil
}

const maxIovecs = 1024 // IOV_MAX, limits.h

func writeAll(fd int, parts [][]byte, wrote *int64) error {
	for len(parts) > 0 {
		n, err := unix.Writev(fd, parts[:min(len(parts), maxIovecs)])
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return err
		}
		*wrote += int64(n)
		for len(parts) > 0 && n >= len(parts[0]) {
			n -= len(parts[0])
			parts = parts[1:]
		}
		if n > 0 {
			parts[0] = parts[0][n:] // the batch's own slice headers
		}
	}
	return nil
}

func (f *file) sync() error {
	if err := unix.Fdatasync(f.fd); err != nil {
		return fmt.Errorf("fsync %s: %w", f.name, err)
	}
	return nil
}

// cut takes the file back to from when it ends at to, and returns its size then.
func (f *file) cut(from, to int64) (bool, int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return false, 0, fmt.Errorf("stat %s: %w", f.name, err)
	}
	if st.Size != to {
		return false, st.Size, nil
	}
	if from < to {
		if err := unix.Ftruncate(f.fd, from); err != nil {
			return false, st.Size, fmt.Errorf("truncate %s to %d: %w", f.name, from, err)
		}
	}
	return true, from, nil
}
