package capture

import (
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/notice"
)

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
		c.o.Logger.Error("views cannot be saved", notice.SpoolTrouble, "error", err)
	}
	p.saveAt = now.Add(max(2*time.Second, 20*time.Since(began)))
}
