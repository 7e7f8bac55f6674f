package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ftfuse/internal/record"
)

// savedView is one file's view in views.json. What a crash keeps from being saved is found again in the spools.
type savedView struct {
	Key      record.FileKey   `json:"key"`
	Path     []byte           `json:"path"`
	Size     int64            `json:"size"`
	Base     int64            `json:"base"`
	Patches  []patch          `json:"patches"`
	Modified int64            `json:"modified"`
	Readback int64            `json:"readback"`
	Pick     pickup           `json:"pick"`
	Mapped   map[uint64]int64 `json:"mapped"` // raw spools: bytes of them that the view has had
}

type savedViews struct {
	Saved int64       `json:"saved"` // ns since 1970: rows of the log that are younger are not in the views
	Files []savedView `json:"files"`
}

func (c *Capture) viewsPath() string { return filepath.Join(c.o.Dir, "views.json") }

// saveViews writes what readers see of all files, and how far the files below the mount are taken.
func (c *Capture) saveViews() error {
	c.saving.Lock()
	defer c.saving.Unlock()
	all := savedViews{Saved: time.Now().UnixNano()}
	c.mu.RLock()
	files := make([]*File, 0, len(c.files))
	for _, f := range c.files {
		files = append(files, f)
	}
	c.mu.RUnlock()
	var dead []record.FileKey
	for _, f := range files {
		f.mu.Lock()
		switch {
		case f.removed && f.refs <= 0 && len(f.live) == 0:
			dead = append(dead, f.key)
		case f.view.size > 0 || f.pick.Taken > 0:
			all.Files = append(all.Files, f.saved())
		}
		f.mu.Unlock()
	}
	b, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("save views: %w", err)
	}
	if err := writeAtomically(c.viewsPath(), b); err != nil {
		return fmt.Errorf("save views: %w", err)
	}
	c.saved.Store(all.Saved)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range dead {
		delete(c.files, k)
	}
	return nil
}

// saved returns a copy of what is worth keeping. Called with mu held.
func (f *File) saved() savedView {
	v := savedView{Key: f.key, Path: []byte(f.path), Size: f.view.size, Base: f.view.base, Modified: f.modified,
		Readback: f.readback, Pick: f.pick, Patches: append([]patch(nil), f.view.patches...), Mapped: map[uint64]int64{}}
	for _, r := range f.live {
		v.Mapped[r.id] = r.mapped
	}
	return v
}

// loadViews brings the views back. A damaged file costs only what readers see of the past.
func (c *Capture) loadViews() {
	b, err := os.ReadFile(c.viewsPath())
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	var all savedViews
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		c.damaged(c.viewsPath(), err)
		return
	}
	c.saved.Store(all.Saved)
	for _, v := range all.Files {
		f := &File{c: c, key: v.Key, path: string(v.Path), modified: v.Modified, readback: v.Readback, pick: v.Pick, mapped: v.Mapped}
		f.view = view{size: v.Size, base: v.Base, patches: v.Patches}
		f.below = func(int) (*os.File, error) { return nil, os.ErrNotExist }
		c.files[v.Key] = f
		f.touch()
	}
}
