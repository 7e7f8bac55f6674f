package capture

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// The header of a raw spool: 8 bytes magic, 4 bytes length of the JSON (little-endian), 4 bytes its CRC-32C, the
// JSON, zero bytes up to headerSize. Data begins at headerSize, a multiple of every common block size, so that
// punching the consumed prefix frees whole blocks. The layout of version 1 never changes.
const (
	headerSize  = 4096
	headerMagic = "ftfuse\x01\n"
)

// meta says whose bytes a handle's are. It is in the header of a raw spool and in the log.
type meta struct {
	ID     uint64         `json:"id"`
	Key    record.FileKey `json:"key"`
	File   record.File    `json:"file"`
	Path   []byte         `json:"path"` // File.Path again: JSON strings cannot hold every byte
	Writer record.Writer  `json:"writer"`
	Comm   []byte         `json:"comm"`
	Exe    []byte         `json:"exe"`
	BootID string         `json:"boot_id"`
	Opened int64          `json:"opened"` // ns since 1970

	MaxRecord int    `json:"max_record"`
	MaxAge    int64  `json:"max_age"`
	Readback  int64  `json:"readback"`
	Below     bool   `json:"below,omitempty"` // lines picked up below the mount
	Start     uint64 `json:"start,omitempty"` // stream offset of the first byte, for Below
	framing
}

// encode returns m as JSON, with the byte strings beside those that JSON would mend.
func (m *meta) encode() ([]byte, error) {
	c := *m
	c.Path, c.Comm, c.Exe = []byte(m.File.Path), []byte(m.Writer.Comm), []byte(m.Writer.Exe)
	c.File.Path, c.Writer.Comm, c.Writer.Exe = "", "", ""
	return json.Marshal(&c)
}

func decodeMeta(b []byte) (*meta, error) {
	var m meta
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w: %v", record.ErrCorrupt, err)
	}
	m.File.Path, m.Writer.Comm, m.Writer.Exe = string(m.Path), string(m.Comm), string(m.Exe)
	return &m, nil
}

func spoolPath(dir string, id uint64, kind string) string {
	return filepath.Join(dir, fmt.Sprintf("%016x.%s", id, kind))
}

// createRaw makes the spool file with its header. The descriptor that stays open is read-only: while no writer
// holds the spool, a read lease on it succeeds.
func createRaw(dir string, m *meta) (*raw, error) {
	js, err := m.encode()
	if err != nil {
		return nil, fmt.Errorf("create spool: %w", err)
	}
	if len(js) > headerSize-16 {
		return nil, fmt.Errorf("create spool: header of %d bytes, at most %d fit: %w", len(js), headerSize-16, unix.ENAMETOOLONG)
	}
	head := make([]byte, headerSize)
	copy(head, headerMagic)
	binary.LittleEndian.PutUint32(head[8:], uint32(len(js)))
	binary.LittleEndian.PutUint32(head[12:], record.CRC(js))
	copy(head[16:], js)
	path := spoolPath(dir, m.ID, "raw")
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create spool: %w", err)
	}
	_, err = w.Write(head)
	err = errors.Join(err, w.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create spool %s: %w", path, err), os.Remove(path))
	}
	return openRaw(path, m)
}

func openRaw(path string, m *meta) (*raw, error) {
	rd, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	return &raw{id: m.ID, path: path, meta: m, rd: rd}, nil
}

// readRaw opens a spool that an earlier process left.
func readRaw(path string) (*raw, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	defer f.Close()
	head := make([]byte, headerSize)
	if n, err := f.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("read spool %s: %w: header has %d bytes, want %d", path, record.ErrCorrupt, n, headerSize)
	}
	n := binary.LittleEndian.Uint32(head[8:])
	if string(head[:8]) != headerMagic || n > headerSize-16 || record.CRC(head[16:16+n]) != binary.LittleEndian.Uint32(head[12:]) {
		return nil, fmt.Errorf("read spool %s: %w: header does not verify", path, record.ErrCorrupt)
	}
	m, err := decodeMeta(head[16 : 16+n])
	if err != nil {
		return nil, fmt.Errorf("read spool %s: %w", path, err)
	}
	return &raw{id: m.ID, path: path, meta: m}, nil // rests until there is something to read
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

// spoolName splits a file name of the spool folder; ok is false for others.
func spoolName(name string) (id uint64, kind string, ok bool) {
	num, kind, found := strings.Cut(name, ".")
	id, err := strconv.ParseUint(num, 16, 64)
	return id, kind, found && err == nil && len(num) == 16
}
