package config

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// checkDisk compares the queue's bounds with the disk below it. It only ever doubts: a configuration may be
// checked on another machine than the one that it is for.
func (l *loader) checkDisk(c *Sender) {
	var st unix.Statfs_t
	dir := c.SpoolDir
	for unix.Statfs(dir, &st) != nil {
		if dir == "/" {
			return
		}
		dir = filepath.Dir(dir)
	}
	total, free := Size(st.Blocks)*Size(st.Bsize), Size(st.Bavail)*Size(st.Bsize)
	q := c.Queue
	switch {
	case q.MinFree >= total:
		l.doubt("queue.min_free", fmt.Sprintf("%s is more than the file system of %s holds (%s): nothing would ever be queued", q.MinFree, dir, human(total)), "lower it, or put spool_dir on a larger file system")
	case q.MinFree >= free:
		l.doubt("queue.min_free", fmt.Sprintf("the file system of %s has %s free: nothing can be queued now", dir, human(free)), "make room, or lower it")
	case q.MaxSize > total:
		l.doubt("queue.max_size", fmt.Sprintf("%s is more than the file system of %s holds (%s): min_free will bound the queue", q.MaxSize, dir, human(total)), "lower it, or put spool_dir on a larger file system")
	}
	if onTmpfs := st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC; onTmpfs && q.Durability != "memory" {
		l.doubt("queue.durability", fmt.Sprintf("%s is kept in memory, where %s cannot be kept", dir, q.Durability), "write durability: memory, or put spool_dir on a disk")
	}
}

// human rounds s to a unit in which it has at most three digits before the point.
func human(s Size) string {
	for _, u := range sizeUnits[:4] {
		if int64(s) >= u.factor {
			return fmt.Sprintf("%.1f%s", float64(s)/float64(u.factor), u.suffix)
		}
	}
	return s.String()
}
