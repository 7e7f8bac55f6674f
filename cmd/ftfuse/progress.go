package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// progress returns a function that shows on a terminal how far long work is; elsewhere it shows nothing.
func (t *terminal) progress(what string) func(done, total int64) {
	if !isTerminal(t.err) {
		return nil
	}
	var last time.Time
	return func(done, total int64) {
		switch now := time.Now(); {
		case done >= total:
			fmt.Fprint(t.err, "\r\x1b[K")
		case now.Sub(last) >= 100*time.Millisecond:
			last = now
			fmt.Fprintf(t.err, "\r%s: %3d %%", what, 100*done/max(total, 1))
		}
	}
}

// diskFree returns the bytes that are free on the file system of dir, 0 if that is not known.
func diskFree(dir string) uint64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0
	}
	return st.Bavail * uint64(st.Bsize)
}
