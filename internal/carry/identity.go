package carry

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// beginning is how many bytes at its start a file is known by, beside its identity: inode numbers are given again.
const beginning = 4 << 10

// source is the open file, as it was found.
type source struct {
	f       *os.File
	key     record.FileKey
	size    int64
	changed int64 // modification time, ns since 1970
}

func openSource(name string) (*source, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0) // not to wait for the writer of a named pipe
	if err != nil {
		return nil, err
	}
	s := &source{f: f}
	if err := s.look(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

func (s *source) look() error {
	var st unix.Statx_t
	if err := unix.Statx(int(s.f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("got no regular file, want one; what a program says goes by `... | ftfuse send --path PATH`")
	}
	s.key = record.FileKey{Dev: uint64(st.Dev_major)<<32 | uint64(st.Dev_minor), Ino: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		s.key.Birth = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	s.size, s.changed = int64(st.Size), st.Mtime.Sec*1e9+int64(st.Mtime.Nsec)
	return nil
}

// start returns the checksum of the first n bytes.
func (s *source) start(n uint32) (uint32, error) { return s.sum(0, 0, int64(n), nil) }

// sum continues a checksum over the bytes from one place to another.
func (s *source) sum(crc uint32, from, to int64, told func(done, total int64)) (uint32, error) {
	buf := make([]byte, min(1<<20, max(to-from, 0)))
	for from < to {
		p := buf[:min(int64(len(buf)), to-from)]
		if n, err := s.f.ReadAt(p, from); n < len(p) {
			if err == io.EOF {
				err = fmt.Errorf("it ends at byte %d: %w", from+int64(n), ErrChanged)
			}
			return 0, fmt.Errorf("read at %d: %w", from, err)
		}
		crc = record.AddCRC(crc, p)
		if from += int64(len(p)); told != nil {
			told(from, to)
		}
	}
	return crc, nil
}

// key names what is known of a file at a receiver under these names.
func (a As) key(k record.FileKey, receiver string) string {
	h := sha256.New()
	a.add(h, k)
	addText(h, receiver)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (a As) add(h hash.Hash, k record.FileKey) {
	for _, n := range []uint64{k.Dev, k.Ino, uint64(k.Birth), uint64(a.Unit)} {
		addNumber(h, n)
	}
	for _, s := range []string{a.Host, a.Mount, a.Path, a.Rule} {
		addText(h, s)
	}
}

func addNumber(h hash.Hash, n uint64) { h.Write(binary.BigEndian.AppendUint64(nil, n)) }

func addText(h hash.Hash, s string) {
	addNumber(h, uint64(len(s)))
	h.Write([]byte(s))
}

// begin makes e new: of a file that begins like this. With again the epoch is one that there never was.
func (e *entry) begin(s *source, as As, again bool) error {
	n := uint32(min(s.size, beginning))
	start, err := s.start(n)
	if err != nil {
		return err
	}
	h := sha256.New()
	as.add(h, s.key)
	addNumber(h, uint64(n)<<32|uint64(start))
	if again {
		var random [16]byte
		_, _ = rand.Read(random[:]) // never fails
		h.Write(random[:])
	}
	*e = entry{Epoch: epochOf(h), Begins: n, Start: start, name: e.name, lock: e.lock}
	return nil
}

// epochOf is never 0 and fits a signed number.
func epochOf(h hash.Hash) uint64 { return binary.BigEndian.Uint64(h.Sum(nil))>>1 | 1 }
