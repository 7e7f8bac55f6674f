package queue

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
)

const (
	quarantineName = "quarantine"
	keepQuarantine = 8       // folders; older ones are removed
	salvageBatch   = 1 << 20 // bytes of one batch of salvaged entries
)

// salvageSegment makes a new database of what verifies in a damaged one and moves the damaged one to quarantine.
// The damaged files stay as they are: the rescue works on links to them. When nothing can be read there is no
// folder at path afterwards. Steps, and what a crash leaves: path.work (removed at Open), path.fresh (removed
// while path exists, else renamed to path).
func salvageSegment(o *Options, path string, cause error) (where string, err error) {
	work, fresh := path+".work", path+".fresh"
	for _, p := range []string{work, fresh} {
		if err := os.RemoveAll(p); err != nil {
			return "", fmt.Errorf("salvage %s: %w", path, err)
		}
	}
	kept := false
	if _, err := os.Stat(path); err == nil {
		if kept, err = rebuild(o, path, work, fresh); err != nil {
			return "", fmt.Errorf("salvage %s: %w", path, err)
		}
	}
	if where, err = quarantine(o, path); err != nil {
		return where, err
	}
	if where != "" {
		text := time.Now().Format(time.RFC3339) + " " + cause.Error() + "\n"
		if err := os.WriteFile(filepath.Join(where, "WHY"), []byte(text), 0o600); err != nil {
			o.Logger.Warn("queue: note the cause of a quarantine", "dir", where, "error", err)
		}
	}
	if kept {
		if err := os.Rename(fresh, path); err != nil {
			return where, fmt.Errorf("salvage %s: %w", path, err)
		}
	}
	return where, errors.Join(os.RemoveAll(work), syncDir(filepath.Dir(path)))
}

// rebuild copies what reads from path to a new database at fresh, by way of work. It says whether there was anything.
func rebuild(o *Options, path, work, fresh string) (bool, error) {
	if err := linkFiles(path, work); err != nil {
		return false, err
	}
	in, err := openDatabase(o, work, openRescue)
	if err != nil {
		if isFull(err) {
			return false, err
		}
		o.Logger.Error("queue: nothing can be salvaged", "dir", path, "error", err)
		return false, nil
	}
	defer in.close()
	out, err := openDatabase(o, fresh, openCreate)
	if err != nil {
		return false, err
	}
	n, err := copyEntries(in, out)
	err = errors.Join(err, out.close())
	if err != nil || n == 0 {
		return false, errors.Join(err, os.RemoveAll(fresh))
	}
	return true, nil
}

func copyEntries(in, out *database) (n int, err error) {
	b := new(leveldb.Batch)
	size := 0
	flush := func(sync bool) error {
		err := guard(func() error { return out.db.Write(b, &opt.WriteOptions{Sync: sync}) })
		b.Reset()
		size = 0
		return err
	}
	var werr error
	rerr := guard(func() error {
		it := in.db.NewIterator(nil, nil)
		defer it.Release()
		for it.Next() {
			if _, isEntry := keyPos(it.Key()); isEntry {
				if _, _, err := readEntry(it.Value()); err != nil {
					continue
				}
			}
			b.Put(it.Key(), it.Value())
			n++
			if size += len(it.Value()) + 8; size >= salvageBatch {
				if werr = flush(false); werr != nil {
					return nil
				}
			}
		}
		return it.Error()
	})
	if werr == nil {
		werr = flush(true)
	}
	if rerr != nil && isFull(rerr) {
		werr = errors.Join(werr, rerr)
	}
	return n, werr // what the rescued database still refuses to read is lost, and found missing by its position
}

// linkFiles gives dst the tables and journals of src, as links where the file system has them.
func linkFiles(src, dst string) error {
	if err := os.MkdirAll(dst, 0o700); err != nil {
		return err
	}
	list, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	for _, f := range list {
		ext := filepath.Ext(f.Name())
		if ext != ".ldb" && ext != ".sst" && ext != ".log" {
			continue
		}
		from, to := filepath.Join(src, f.Name()), filepath.Join(dst, f.Name())
		if os.Link(from, to) == nil {
			continue
		}
		if err := copyFile(from, to); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// quarantine moves the folder at path below Dir/quarantine and returns its new name, "" if there was no such folder.
func quarantine(o *Options, path string) (string, error) {
	top := filepath.Join(o.Dir, quarantineName)
	if err := os.MkdirAll(top, 0o700); err != nil {
		return "", fmt.Errorf("quarantine %s: %w", path, err)
	}
	stamp := time.Now().UTC().Format("20060102T150405.000000000Z")
	where := filepath.Join(top, stamp+"-"+filepath.Base(path))
	if err := os.Rename(path, where); err != nil {
		if os.IsNotExist(err) {
			return "", nil
		}
		return "", fmt.Errorf("quarantine %s: %w", path, err)
	}
	list, err := os.ReadDir(top) // sorted, and the names begin with the time
	if err != nil {
		return where, nil
	}
	for len(list) > keepQuarantine {
		if err := os.RemoveAll(filepath.Join(top, list[0].Name())); err != nil {
			o.Logger.Warn("queue: remove an old quarantine", "error", err)
		}
		list = list[1:]
	}
	return where, nil
}

// finishSalvage takes up what a crash in the middle of a salvage left.
func finishSalvage(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.fresh"))
	if err != nil {
		return err
	}
	for _, fresh := range names {
		path := strings.TrimSuffix(fresh, ".fresh")
		if _, err := os.Stat(path); os.IsNotExist(err) {
			err = os.Rename(fresh, path)
			if err != nil {
				return err
			}
			continue
		}
		if err := os.RemoveAll(fresh); err != nil {
			return err
		}
	}
	return nil
}

// listSegments returns the first positions of the chain's databases, ascending.
func listSegments(dir string) (firsts []uint64, err error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		var first uint64
		if n, _ := fmt.Sscanf(f.Name(), segmentPrefix+"%020d", &first); n == 1 && f.Name() == segmentName(first) {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	return firsts, nil
}
