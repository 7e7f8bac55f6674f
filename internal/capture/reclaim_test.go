package capture

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// leased takes a lease on a file, which whoever opens it for writing must wait for, and returns what says whether somebody does
// and what gives the lease up.
func leased(t *testing.T, path string) (awaited func() bool, giveUp func()) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	set := func(kind int) {
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, kind); err != nil {
			t.Errorf("lease %s: %v", path, err)
		}
	}
	set(unix.F_RDLCK)
	awaited = func() bool {
		kind, err := unix.FcntlInt(f.Fd(), unix.F_GETLEASE, 0)
		return err == nil && kind == unix.F_UNLCK
	}
	return awaited, func() { set(unix.F_UNLCK) }
}

// While blocks of a spool are given back, however long the disk takes, nobody waits for it who wants to know of the spool, or to
// tell it something.
func TestNobodyWaitsForPunching(t *testing.T) {
	r, err := createRaw(t.TempDir(), &meta{ID: 1, File: record.File{Mount: "m", Path: "p"}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if err := os.Truncate(r.path, headerSize+8*block); err != nil {
		t.Fatal(err)
	}
	r.free(0, 4*block)
	awaited, giveUp := leased(t, r.path)
	done := make(chan error, 1)
	go func() {
		_, err := r.reclaim(spans{{0, 4 * block}}, block)
		done <- err
	}()
	for end := time.Now().Add(time.Minute); !awaited(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("got no one who waits for the lease")
		}
	}
	free := r.mu.TryLock()
	if free {
		r.mu.Unlock()
	}
	giveUp()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !free {
		t.Error("got the spool's lock taken while its blocks are given back, want it free")
	}
	if n := r.punched.len(); n != 4*block {
		t.Errorf("got %d bytes punched, want %d", n, 4*block)
	}
}

// A spool that cannot be deleted stays, and is asked for again.
func TestASpoolThatCannotBeDeleted(t *testing.T) {
	dir := t.TempDir()
	r, err := createRaw(dir, &meta{ID: 1, File: record.File{Mount: "m", Path: "p"}})
	if err != nil {
		t.Fatal(err)
	}
	r.done = true
	path := r.path
	r.path = dir // a folder that is not empty
	if gone, err := r.reclaim(nil, block); gone || err == nil {
		t.Fatalf("got gone %v, error %v, want that it could not be deleted", gone, err)
	}
	r.path = path
	if err := r.warm(); err != nil {
		t.Fatal(err)
	}
	if held, err := r.held(); held || err != nil {
		t.Errorf("got held %v, error %v of a spool that is still there", held, err)
	}
	if gone, err := r.reclaim(nil, block); !gone || err != nil {
		t.Fatalf("got gone %v, error %v, want it deleted", gone, err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("got %v, want no spool", err)
	}
}
