package output

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"ftfuse/internal/ledger"
	"ftfuse/internal/record"
)

// packers make a compressing writer by the suffix of its files.
var packers = map[string]func(io.Writer) (io.WriteCloser, error){
	".gz": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.DefaultCompression) },
	".zst": func(w io.Writer) (io.WriteCloser, error) {
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	},
}

// packer returns the suffix for a name in the configuration; "" is no compression.
func packer(name string) (string, error) {
	suffix, ok := map[string]string{"": "", "none": "", "gzip": ".gz", "zstd": ".zst"}[name]
	if !ok {
		return "", fmt.Errorf("compression %q is not known: want none, gzip or zstd", name)
	}
	return suffix, nil
}

func (o *Output) wantsPacking(c *ledger.Closed) bool {
	suffix, _ := packer(o.o.Rotate.Compress)
	return !c.Done && (suffix != "" || c.Suffix != "")
}

// pack compresses a rotated file: into a temporary; the ledger learns that it is complete; the temporary gets
// its name; the original goes; the ledger learns that too. Each step can be the last before a crash, and the next
// pack goes on from there.
func (o *Output) pack(ctx context.Context, c *ledger.Closed) error {
	if c.Suffix == "" {
		if gone, err := o.fill(ctx, c); err != nil || gone {
			return err
		}
	}
	if placed, err := o.place(c); err != nil || !placed {
		return err
	}
	o.o.step("placed")
	if err := o.base.remove(c.Name, c.Key); err != nil {
		return err
	}
	o.o.step("unlinked")
	c.Done = true
	if err := o.o.Book.PutClosed(c, o.o.Disk); err != nil {
		return err
	}
	o.stats.compressed.Add(1)
	return nil
}

// fill writes the temporary. It returns true when there is nothing to compress any more.
func (o *Output) fill(ctx context.Context, c *ledger.Closed) (bool, error) {
	suffix, err := packer(o.o.Rotate.Compress)
	if err != nil {
		return false, err
	}
	if err := o.removeTemporary(c); err != nil {
		return false, err
	}
	from, err := o.base.openat(o.base.fd, c.Name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err == unix.ENOENT {
		return true, o.o.Book.DropClosed(c) // somebody took it away: theirs to look after
	} else if err != nil {
		return false, odd(c.Name, err)
	}
	src := os.NewFile(uintptr(from), c.Name)
	defer src.Close()
	s, err := fdState(from)
	if err != nil {
		return false, err
	}
	if s.key != c.Key || !s.regular {
		return true, o.o.Book.DropClosed(c)
	}
	fd, err := o.base.open(temporary(c), true)
	if err != nil {
		return false, err
	}
	dst := os.NewFile(uintptr(fd), temporary(c))
	defer dst.Close()
	o.o.step("packing")
	if err := o.squeeze(ctx, dst, src, suffix); err != nil {
		return false, errors.Join(fmt.Errorf("compress %s: %w", c.Name, err), o.removeTemporary(c))
	}
	s, err = fdState(fd)
	if err != nil {
		return false, err
	}
	c.Packed, c.Suffix = s.key, suffix
	o.o.step("packed")
	return false, o.o.Book.PutClosed(c, true)
}

// squeeze copies src to dst compressed, at most Rate bytes a second, with its mode and time, down to the disk:
// the original is removed next.
func (o *Output) squeeze(ctx context.Context, dst, src *os.File, suffix string) error {
	w, err := packers[suffix](dst)
	if err != nil {
		return err
	}
	if _, err = io.CopyBuffer(struct{ io.Writer }{w}, &slowReader{ctx: ctx, r: src, rate: o.o.Rotate.Rate}, make([]byte, 256<<10)); err != nil {
		w.Close()
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	st, err := src.Stat()
	if err != nil {
		return err
	}
	if err := dst.Chmod(st.Mode().Perm()); err != nil {
		return err
	}
	at := unix.NsecToTimeval(st.ModTime().UnixNano())
	if err := unix.Futimes(int(dst.Fd()), []unix.Timeval{at, at}); err != nil {
		return err
	}
	return dst.Sync()
}

// place gives the complete temporary its name. It returns false when that name is not free, or when the temporary is
// not there: it is then made again another time.
func (o *Output) place(c *ledger.Closed) (bool, error) {
	if s, err := o.base.stat(c.Name + c.Suffix); err == nil && s.key == c.Packed {
		return true, nil // before a crash
	}
	s, err := o.base.stat(temporary(c))
	if err != nil && err != unix.ENOENT {
		return false, err
	}
	if err == nil && s.key == c.Packed {
		if err = o.base.rename(temporary(c), c.Name+c.Suffix); err != unix.EEXIST {
			return err == nil, err
		}
		o.log(slog.LevelWarn, "not compressed: the name is not free", slog.String("file", c.Name+c.Suffix))
		c.Done = true
	}
	c.Suffix, c.Packed = "", record.FileKey{}
	return false, errors.Join(o.removeTemporary(c), o.o.Book.PutClosed(c, false))
}

// slowReader reads at most rate bytes per second on average.
type slowReader struct {
	ctx   context.Context
	r     io.Reader
	rate  int64
	start time.Time
	done  int64
}

func (s *slowReader) Read(p []byte) (int, error) {
	if s.start.IsZero() {
		s.start = time.Now()
	}
	ahead := time.Duration(float64(s.done)/float64(s.rate)*float64(time.Second)) - time.Since(s.start)
	if ahead > 0 {
		t := time.NewTimer(ahead)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.ctx.Done():
		}
	}
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	s.done += int64(n)
	return n, err
}
