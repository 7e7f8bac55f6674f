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
	"time"

	"golang.org/x/sys/unix"

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

// saveViews writes what has changed in the given files, or everything when the journal has grown long. A file
// that nobody can come back to is forgotten.
func (c *Capture) saveViews(changed map[*File]bool) error {
	if c.views.long() {
		return c.saveAll()
	}
	for f := range changed {
		if err := c.saveView(f); err != nil {
			return err
		}
		delete(changed, f)
	}
	for f := range c.pass.fading {
		if err := c.fade(f); err != nil {
			return err
		}
	}
	if c.pass.picked {
		if err := c.views.sync(); err != nil {
			return err
		}
		c.pass.picked = false
	}
	return nil
}

func (c *Capture) saveView(f *File) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.forgotten {
		return nil
	}
	if f.refs <= 0 && f.empty() {
		c.pass.fading[f] = true
	}
	return c.views.save(f.saved(), false)
}

// fade forgets a file as soon as it can be.
func (c *Capture) fade(f *File) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refs <= 0 && f.empty() && !f.forgotten {
		if !f.blank() {
			return nil // a spool still tells of it
		}
		if err := c.views.save(savedView{Key: f.key, Gone: true}, false); err != nil {
			return err
		}
		c.forget(f)
	}
	delete(c.pass.fading, f)
	return nil
}

func (c *Capture) saveAll() error {
	gen, err := c.views.next()
	if err != nil {
		return fmt.Errorf("save views: %w", err)
	}
	c.mu.RLock()
	files := make([]*File, 0, len(c.files))
	for _, f := range c.files {
		files = append(files, f)
	}
	c.mu.RUnlock()
	all := savedViews{Journal: gen}
	for _, f := range files {
		f.mu.Lock()
		if !f.forgotten && f.blank() {
			c.forget(f)
		} else if f.touched {
			all.Files = append(all.Files, f.saved())
		}
		f.mu.Unlock()
	}
	if err := c.views.replace(all); err != nil {
		return fmt.Errorf("save views: %w", err)
	}
	clear(c.pass.changed)
	c.pass.picked = false
	return nil
}

// blank reports whether a file can be forgotten: nobody uses it, and nothing is known of it that will be asked for.
// Called with mu held.
func (f *File) blank() bool {
	if f.refs > 0 || !f.empty() || len(f.live) > 0 || f.hold != nil || len(f.used) > 0 || len(f.mapped) > 0 {
		return false
	}
	f.c.mu.RLock()
	s := f.c.segs[f.logged.Seg]
	f.c.mu.RUnlock()
	if s == nil {
		return true
	}
	s.mu.Lock() // rows of the log would bring it back
	defer s.mu.Unlock()
	return s.noIndex
}

// empty reports whether nobody will ask for the content. Called with mu held.
func (f *File) empty() bool { return f.removed || f.view.size == 0 && f.pick == (pickup{}) }

// forget takes a blank file out of the table. Called with mu held.
func (c *Capture) forget(f *File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.forgotten = true
	if c.files[f.key] == f {
		delete(c.files, f.key)
	}
}

// saved returns a copy of what is worth keeping. Called with mu held.
func (f *File) saved() savedView {
	v := savedView{Key: f.key, Path: []byte(f.path), Size: f.view.size, Base: f.view.base, Modified: f.modified, Logged: f.logged,
		Readback: f.readback, Pick: f.pick, Patches: slices.Clone(f.view.patches), Mapped: map[uint64]int64{}}
	for id, n := range f.mapped {
		v.Mapped[id] = n
	}
	for _, r := range f.live {
		v.Mapped[r.id] = r.mapped
	}
	return v
}

// loadViews brings the views back. Damage costs what readers see of the past, and may have lines below the mount
// taken again.
func (c *Capture) loadViews() {
	c.views.load(func(v savedView) {
		if v.Gone {
			delete(c.files, v.Key)
			return
		}
		f := &File{c: c, key: v.Key, path: string(v.Path), modified: v.Modified, readback: v.Readback, pick: v.Pick, mapped: v.Mapped, logged: v.Logged}
		f.view = view{size: v.Size, base: v.Base, patches: v.Patches}
		f.below = func(int) (*os.File, error) { return nil, unix.ENOENT }
		c.files[v.Key] = f
	}, c.damaged)
	for _, f := range c.files {
		f.mu.Lock()
		f.touch()
		f.mu.Unlock()
	}
}

// save writes the views now and then, and not more than a twentieth of the time.
func (c *Capture) save(now time.Time) {
	p := &c.pass
	if len(p.changed)+len(p.fading) == 0 || now.Before(p.saveAt) {
		return
	}
	began := time.Now()
	if err := c.saveViews(p.changed); err != nil {
		c.o.Logger.Error("views cannot be saved", "error", err)
	}
	p.saveAt = now.Add(max(2*time.Second, 20*time.Since(began)))
}
