// Package memo keeps rows in shared memory that outlives the process, as long as somebody holds its descriptor.
package memo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The memory, little-endian: a head of one page, then two areas of areaSize bytes of which one holds. Pages that were
// never written take no memory.
//
//	0 magic, 8 bytes   8 number of the area that holds, u64
//
// An area is rows, back to back, each at a multiple of 8:
//
//	0 check u32: CRC-32C of the rest, 1 if that is 0   4 length of the body u32   8 kind u8, 7 bytes zero   16 body
//
// The check is stored last and atomically: a row without it does not exist, and neither does what is behind it.
const (
	magic    = "ftmemo\x01\n"
	headSize = 4096
	areaSize = 256 << 20
	rowHead  = 16
)

// ErrFull says that an area has no room; what is in it stays valid.
var ErrFull = errors.New("memory of the running mount is full")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Memo is a list of rows that another process can read after this one has ended, however it ended.
type Memo struct {
	f    *os.File
	mem  []byte
	area int // the one that holds

	mu   sync.Mutex // guards the rest; held for one memory copy, or one Replace
	used int
	base int // used after the last Replace
}

// New makes an empty memo.
func New(name string) (*Memo, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := f.Truncate(headSize + 2*areaSize); err != nil {
		return nil, errors.Join(fmt.Errorf("make shared memory: %w", err), f.Close())
	}
	m, err := open(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	copy(m.mem, magic)
	return m, nil
}

// Open reads what another process has left, and goes on behind it. It takes over f.
func Open(f *os.File, each func(kind byte, body []byte) error) (*Memo, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open shared memory: %w", err)
	}
	if st.Size() != headSize+2*areaSize {
		return nil, fmt.Errorf("open shared memory: got %d bytes, want %d", st.Size(), headSize+2*areaSize)
	}
	m, err := open(f)
	if err != nil {
		return nil, err
	}
	if got := string(m.mem[:len(magic)]); got != magic {
		err = fmt.Errorf("open shared memory: got magic %q, want %q", got, magic)
	} else {
		m.area = int(*m.holds() & 1)
		err = m.read(each)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Munmap(m.mem))
	}
	return m, nil
}

func open(f *os.File) (*Memo, error) {
	mem, err := unix.Mmap(int(f.Fd()), 0, headSize+2*areaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map shared memory: %w", err)
	}
	return &Memo{f: f, mem: mem}, nil
}

// holds is where the number of the holding area stands.
func (m *Memo) holds() *uint64 { return (*uint64)(unsafe.Pointer(&m.mem[8])) }

func (m *Memo) start(area int) int { return headSize + area*areaSize }

func (m *Memo) read(each func(kind byte, body []byte) error) error {
	for {
		b := m.mem[m.start(m.area)+m.used : m.start(m.area)+areaSize]
		if len(b) < rowHead {
			return nil
		}
		n := int(binary.LittleEndian.Uint32(b[4:]))
		check := atomic.LoadUint32((*uint32)(unsafe.Pointer(&b[0])))
		if check == 0 || n > len(b)-rowHead || check != sum(b[:rowHead+n]) {
			return nil
		}
		if err := each(b[8], b[rowHead:rowHead+n:rowHead+n]); err != nil {
			return err
		}
		m.used += size(n)
	}
}

// size returns the bytes that a row with a body of n takes.
func size(n int) int { return rowHead + (n+7)&^7 }

func sum(row []byte) uint32 { return max(crc32.Checksum(row[4:], castagnoli), 1) }

// File returns the descriptor that the next process needs.
func (m *Memo) File() *os.File { return m.f }

// Append adds a row. When it returns, the row is there for the next process.
func (m *Memo) Append(kind byte, body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.put(m.area, m.used, kind, body)
	m.used = n
	return err
}

// put writes a row at offset at of an area and returns where the next goes.
func (m *Memo) put(area, at int, kind byte, body []byte) (int, error) {
	end := at + size(len(body))
	if end > areaSize {
		return at, ErrFull
	}
	b := m.mem[m.start(area)+at : m.start(area)+end]
	binary.LittleEndian.PutUint32(b[4:], uint32(len(body)))
	binary.LittleEndian.PutUint64(b[8:], uint64(kind))
	copy(b[rowHead:], body)
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&b[0])), sum(b[:rowHead+len(body)]))
	return end, nil
}

// Long reports whether most of what is there is likely to be history.
func (m *Memo) Long() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used > max(4*m.base, 1<<20)
}

// Replace puts the rows that write adds in the place of all there are. Until it returns a reader sees the old ones.
// Nothing is replaced when write or add fails.
func (m *Memo) Replace(write func(add func(kind byte, body []byte) error) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	other, used := 1-m.area, 0
	if err := m.clear(other); err != nil {
		return err
	}
	err := write(func(kind byte, body []byte) (err error) {
		used, err = m.put(other, used, kind, body)
		return err
	})
	if err != nil {
		return err
	}
	old := m.area
	atomic.StoreUint64(m.holds(), uint64(other))
	m.area, m.used, m.base = other, used, used
	return m.clear(old)
}

// clear gives an area's memory back; it reads as zeros then.
func (m *Memo) clear(area int) error {
	err := unix.Fallocate(int(m.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(m.start(area)), areaSize)
	if err != nil {
		return fmt.Errorf("clear shared memory: %w", err)
	}
	return nil
}

// Close gives the memory up in this process.
func (m *Memo) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mem == nil {
		return nil
	}
	err := errors.Join(unix.Munmap(m.mem), m.f.Close())
	m.mem = nil
	return err
}
