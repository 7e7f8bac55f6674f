package capture

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// What lies below the mount can be seen, and is taken later, while another program's lease keeps it from being opened.
func TestLeaseBelow(t *testing.T) {
	sink := newChain()
	r := start(t, t.TempDir(), sink, Recovery{}, nil)
	path := below(t, "one\n")
	leased := true
	open := func(flags int) (*os.File, error) {
		if leased && flags&unix.O_PATH == 0 {
			return nil, unix.EAGAIN
		}
		return os.OpenFile(path, flags, 0)
	}
	f, err := r.File(record.FileKey{Ino: 1}, path, open)
	if err != nil {
		t.Fatalf("got %v, want a file whose content comes later", err)
	}
	if got := f.Size(); got != 4 {
		t.Errorf("got a size of %d, want 4", got)
	}
	if err := r.PickUp(f, decision, "m", "a.log", false); err != nil {
		t.Fatal(err)
	}
	if n := r.unregistered(t); n != 4 {
		t.Errorf("got %d bytes not in the queue, want 4", n)
	}
	f.mu.Lock() // under which the file is opened
	leased = false
	f.mu.Unlock()
	sink.waitFor(t, "the line", func() bool { return string(sink.all()) == "one\n" })
	if got := readAll(t, f); got != "one\n" {
		t.Errorf("readers got %q", got)
	}
}
