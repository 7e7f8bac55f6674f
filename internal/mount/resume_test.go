package mount

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"ftfuse/internal/record"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// A stored file that was open and whose name is gone cannot be opened again by the next process; its handles take no
// descriptor of another file with them.
func TestStoredFileThatCannotBeOpenedAgain(t *testing.T) {
	m := &Mount{log: slog.New(slog.DiscardHandler), tree: newTree(record.FileKey{}), locks: newLocks()}
	s := &server{Mount: m}
	var st unix.Statx_t
	e := m.tree.bind(m.tree.root, "a.gz", record.FileKey{Ino: 2})
	n := m.tree.share(0, e, kindStored, &st)
	m.tree.remove(0, m.tree.root, "a.gz")
	for fh := range uint64(2) {
		if err := s.restoreHandle(&keptHandle{FH: 1<<slotBits | (fh + 1), Node: n.id}); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range m.handles.all() {
		s.Release(nil, &fuse.ReleaseIn{Fh: h.fh})
		if fd, err := m.openAttr(n); err != unix.ENOENT {
			to, _ := os.Readlink(procFd(fd))
			t.Fatalf("got descriptor %d of %s and %v, want ENOENT", fd, to, err)
		}
	}
	if n.open.count != 0 || n.open.pin.uses != 0 {
		t.Errorf("%d handles and %d descriptors are left", n.open.count, n.open.pin.uses)
	}
}

// A take-over that fails gives back what it has opened.
func TestTakeOverThatFails(t *testing.T) {
	needs(t)
	dir := tempDir(t)
	for _, sub := range []string{"below/sub", "spool"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	below := filepath.Join(dir, "below")
	if err := os.WriteFile(filepath.Join(below, "f"), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cap := newTestCapture(filepath.Join(dir, "spool"))
	defer cap.close()
	o := Options{Name: "test", Dir: below, Capture: cap, Decider: testRules{}, Identifier: &testIdentity{}, NoPassthrough: true}
	kept, err := ReadKept(leftBy(t, o))
	if err != nil {
		t.Fatal(err)
	}
	open := len(descriptors())
	null, err := os.Open("/dev/null") // takes no request to send again
	if err != nil {
		t.Fatal(err)
	}
	at, err := os.Open(below)
	if err != nil {
		t.Fatal(err)
	}
	o.Given = &Given{Fuse: null, Below: at, Kept: kept}
	if _, err = Open(o); err == nil || !strings.Contains(err.Error(), "ask for requests again") {
		t.Errorf("got %v, want that nothing is sent again", err)
	}
	null.Close()
	at.Close()
	if got := cap.paths(); got != "" {
		t.Errorf("files in use: %s", got)
	}
	if now := len(descriptors()); now >= open { // that of the memory has gone
		t.Errorf("%d descriptors are open, before %d", now, open)
	}
}

// leftBy is the memory of a process that has opened a directory and looked up a file.
func leftBy(t *testing.T, o Options) *os.File {
	t.Helper()
	m, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ask := fuse.InitIn{InHeader: fuse.InHeader{Opcode: 26, Unique: 2, NodeId: rootID}, Major: 7, Minor: 40, Flags: fuse.CAP_INIT_EXT, Flags2: fuse.CAP_HAS_RESEND >> 32}
	ask.Length = uint32(unsafe.Sizeof(ask))
	if err := m.keep(unsafe.Slice((*byte)(unsafe.Pointer(&ask)), unsafe.Sizeof(ask)), nil); err != nil {
		t.Fatal(err)
	}
	look := func(unique uint64, name string) *node {
		st, err := statAt(m.below, name)
		if err != nil {
			t.Fatal(err)
		}
		n, err := m.named(unique, m.tree.root, name, &st)
		if err != nil {
			t.Fatal(err)
		}
		m.keeper.answer(1, unique, []byte("an answer"))
		return n
	}
	look(4, "f")
	for i := range uint64(3) {
		if err := m.handles.put(8+2*i, &handle{node: look(6, "sub"), fd: -1}); err != nil {
			t.Fatal(err)
		}
		m.keeper.answer(27, 8+2*i, []byte("an answer"))
	}
	fd, err := unix.FcntlInt(m.Memory().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range m.tree.clear() {
		if n.file != nil {
			m.files.unref(n.file)
		}
	}
	m.files.clear()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "memory")
}
