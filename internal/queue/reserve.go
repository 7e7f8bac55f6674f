package queue

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// reserveBytes is kept back on the disk for the commit that gives space free. Without it a full disk would stay full:
// removing what is delivered follows a commit, and a commit needs a few kilobytes.
const reserveBytes = 1 << 20

func reservePath(dir string) string { return filepath.Join(dir, "reserve") }

// keepReserve makes the reserve if it is not there. A disk without room for it is not an error: there may be later.
func keepReserve(o *Options) {
	path := reservePath(o.Dir)
	if i, err := os.Stat(path); err == nil && i.Size() == reserveBytes {
		return
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, reserveBytes); err != nil {
		o.Logger.Debug("queue: no reserve on the disk", "error", err)
		os.Remove(path)
	}
}

// spendReserve gives the reserve up. It says whether there was any.
func spendReserve(o *Options) bool { return os.Remove(reservePath(o.Dir)) == nil }
