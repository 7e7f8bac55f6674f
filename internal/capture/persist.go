package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"ftfuse/internal/record"
)

// What readers see of each file, and how far files below the mount are taken, is kept in two places: views.json holds
// all files as of some moment, and the journals views.N.log, from the number that views.json names on, what has
// changed since, one file a line:
//
//	CRC-32C of the JSON in 8 hexadecimal digits, a space, the JSON of a savedView
//
// A line begins with LF, so that one that a full disk or a crash cut short spoils no other. What a crash keeps from
// being saved is found again in the spools.
type viewLog struct {
	dir string

	mu   sync.Mutex // guards the rest; taken after File.mu
	gen  uint64     // number of the journal that is written
	f    *os.File   // nil: not opened yet
	size int64      // of the journal, in bytes
	base int64      // of views.json
}

// savedView is one file's view.
type savedView struct {
	Key      record.FileKey   `json:"key"`
	Gone     bool             `json:"gone,omitempty"` // the file is forgotten
	Path     []byte           `json:"path,omitempty"`
	Size     int64            `json:"size"`
	Base     int64            `json:"base"`
	Patches  []patch          `json:"patches,omitempty"`
	Modified int64            `json:"modified"`
	Readback int64            `json:"readback"`
	Pick     pickup           `json:"pick"`
	Mapped   map[uint64]int64 `json:"mapped,omitempty"` // raw spools: bytes of them that the view has had
	Logged   logPos           `json:"logged"`           // the last row of the log that is in it
}

type savedViews struct {
	Journal uint64      `json:"journal"` // the first journal that is younger
	Files   []savedView `json:"files"`
}

func (l *viewLog) path() string { return filepath.Join(l.dir, "views.json") }

func (l *viewLog) journal(gen uint64) string {
	return filepath.Join(l.dir, fmt.Sprintf("views.%d.log", gen))
}

// save appends one file's view; with sync it is on disk then.
func (l *viewLog) save(v savedView, sync bool) error {
	js, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("save view: %w", err)
	}
	line := fmt.Appendf(nil, "\n%08x %s", record.CRC(js), js)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		if l.f, err = os.OpenFile(l.journal(l.gen), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return fmt.Errorf("save view: %w", err)
		}
	}
	_, err = l.f.Write(line)
	l.size += int64(len(line))
	if err == nil && sync {
		err = l.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("save view: %w", err)
	}
	return nil
}

// sync brings the journal to disk.
func (l *viewLog) sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	return l.f.Sync()
}

// long reports whether it is time to write everything anew.
func (l *viewLog) long() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size > max(1<<20, 2*l.base)
}

// next begins another journal and returns its number.
func (l *viewLog) next() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.close()
	l.gen, l.size = l.gen+1, 0
	return l.gen, err
}

// end closes the journal.
func (l *viewLog) end() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.close()
}

// close is called with mu held.
func (l *viewLog) close() error {
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}

// replace puts all views in the place of what is older than journal gen.
func (l *viewLog) replace(all savedViews) error {
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := writeAtomically(l.path(), b); err != nil {
		return err
	}
	l.mu.Lock()
	l.base = int64(len(b))
	l.mu.Unlock()
	for _, gen := range l.journals() {
		if gen < all.Journal {
			err = errors.Join(err, os.Remove(l.journal(gen)))
		}
	}
	return err
}

// journals returns the numbers of the journals in the folder, ascending.
func (l *viewLog) journals() []uint64 {
	names, _ := filepath.Glob(filepath.Join(l.dir, "views.*.log")) // the pattern is well formed
	var gens []uint64
	for _, n := range names {
		mid := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(n), "views."), ".log")
		if gen, err := strconv.ParseUint(mid, 10, 62); err == nil {
			gens = append(gens, gen)
		}
	}
	slices.Sort(gens)
	return gens
}

// load calls each with every view that was saved, older ones first, and bad with what does not verify.
func (l *viewLog) load(each func(savedView), bad func(path string, err error)) {
	var all savedViews
	b, err := os.ReadFile(l.path())
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		bad(l.path(), err)
		all = savedViews{}
	}
	l.base, l.gen = int64(len(b)), all.Journal
	for _, v := range all.Files {
		each(v)
	}
	for _, gen := range l.journals() {
		if gen < all.Journal {
			continue
		}
		l.gen = gen
		b, err := os.ReadFile(l.journal(gen))
		if err != nil {
			bad(l.journal(gen), err)
		}
		l.size = int64(len(b))
		for line := range bytes.SplitSeq(b, []byte{'\n'}) {
			var v savedView
			if len(line) == 0 {
				continue
			}
			if err := decodeView(line, &v); err != nil {
				bad(l.journal(gen), err)
				continue
			}
			each(v)
		}
	}
}

func decodeView(line []byte, v *savedView) error {
	sum, js, ok := bytes.Cut(line, []byte{' '})
	crc, err := strconv.ParseUint(string(sum), 16, 32)
	if !ok || err != nil || uint32(crc) != record.CRC(js) {
		return fmt.Errorf("view of %d bytes: %w: checksum does not hold", len(line), record.ErrCorrupt)
	}
	return json.Unmarshal(js, v)
}
