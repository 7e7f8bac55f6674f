package mount

import (
	"encoding/binary"
	"fmt"

	"ftfuse/internal/notice"
	"ftfuse/internal/record"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// resume brings a running mount back to where the process before this one was, and asks the kernel for what that had
// read and not answered.
func (s *server) resume(k *Kept) error {
	resend := canResend(k.init[0])
	if !resend && !k.quiet {
		_ = k.memo.Close()
		return errNoResend
	}
	s.keeper.memo, s.init = k.memo, k.init
	out := make([]byte, 4096)
	if n, code := s.proto.HandleRequest([][]byte{k.init[0]}, [][]byte{out}); code != fuse.OK || string(out[:n]) != string(k.init[1]) {
		s.log.Warn("this version would have answered the kernel otherwise when the mount was made; mount anew when it suits")
	}
	s.pass.probe(initIn(k.init[0]), !s.o.NoPassthrough)
	if err := s.restore(k); err != nil {
		return err
	}
	if err := s.turns.prepare(s.fd, resend); err != nil {
		return err
	}
	s.keeper.alive.Store(true)
	if err := s.rewrite(); err != nil {
		return err
	}
	if !resend {
		return nil
	}
	return notifyResend(s.fd)
}

// notifyResend asks the kernel to send again what was read and not answered: an answer to nobody with the code
// FUSE_NOTIFY_RESEND in the place of the error.
func notifyResend(fd int) error {
	const resend = 7
	var b [16]byte
	binary.LittleEndian.PutUint32(b[0:], uint32(len(b)))
	binary.LittleEndian.PutUint32(b[4:], resend)
	if _, err := unix.Write(fd, b[:]); err != nil {
		return fmt.Errorf("ask for requests again: %w", err)
	}
	return nil
}

// restore makes the tables what they were. Nobody is served yet.
func (s *server) restore(k *Kept) error {
	st, err := statFd(s.below)
	if err != nil {
		return fmt.Errorf("stat the directory below: %w", err)
	}
	over := k.settle()
	m := s.Mount
	m.tree, m.locks = k.tree, k.locks
	m.tree.root.key = KeyOf(&st)
	m.tree.keep, m.locks.keep = &m.keeper, &m.keeper
	m.keeper.owed, m.keeper.last, m.keeper.taken = k.owed, k.last, k.taken+1
	for _, n := range m.tree.nodes {
		if err := s.restoreNode(n); err != nil {
			return err
		}
	}
	m.handles.given = k.given
	for _, h := range k.handles {
		if err := s.restoreHandle(h); err != nil { // its calls get EBADF; all others go on
			s.log.Error("an open file is lost", "path", string(h.Path), "error", err)
		}
	}
	m.handles.restored()
	s.endUnanswered(over)
	s.closeLeftover()
	s.log.Info("mount taken over", notice.MountTakenOver, "files", len(k.handles), "nodes", len(m.tree.nodes), "unanswered", len(k.owed), "times", m.keeper.taken)
	return nil
}

func (s *server) restoreNode(n *node) error {
	if n.kind != kindCaptured {
		return nil
	}
	path, live := s.tree.path(n.at)
	if !live {
		path = n.path
	}
	f, err := s.files.acquire(s.Mount, n.at, path)
	if err != nil {
		return err
	}
	n.file = f
	if !live && n.st.Nlink <= 1 {
		s.files.removed(n.at.key)
	}
	return nil
}

// restoreHandle opens anew what an answered open stands for.
func (s *server) restoreHandle(kept *keptHandle) error {
	n := s.tree.nodes[kept.Node]
	if n == nil {
		return fmt.Errorf("open file %x: node %x is not known", kept.FH, kept.Node)
	}
	h := &handle{fh: kept.FH, node: n, flags: kept.Flags, fd: -1, policy: kept.Policy, backing: kept.Backing,
		opener: kept.writer(), path: string(kept.Path)}
	var err error
	switch n.kind {
	case kindDir:
		h.fd, err = s.openEntryDir(n.at)
	case kindStored:
		err = s.restoreStored(h)
	case kindCaptured:
		h.held = s.hold(n.file) == nil
		err = s.restoreCapture(h, kept)
	}
	if err != nil { // what the kernel does by itself goes on
		s.log.Warn("an open file cannot be opened again", notice.FileLost, "path", string(kept.Path), "error", err)
	}
	if n.kind != kindDir {
		n.open.count++
	}
	n.open.backing = max(n.open.backing, h.backing)
	return s.handles.restore(h)
}

func (s *server) restoreStored(h *handle) error {
	fd, err := s.reopen(h.node, int(h.flags)&storedFlags)
	if err != nil {
		return err
	}
	if err := h.node.open.pin.hold(func() (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		_ = unix.Close(fd)
		return err
	}
	h.fd = fd
	return nil
}

func (s *server) restoreCapture(h *handle, kept *keptHandle) (err error) {
	switch f := h.node.file; {
	case kept.Spool != 0:
		h.spool, err = adopted(f.AdoptSpool(kept.Spool))
	case kept.Log != 0:
		h.log, err = f.AdoptLog(kept.Log, h.policy, h.path, h.opener)
	}
	return err
}

// adopted makes no Spool of an error: a nil pointer in an interface is not nil.
func adopted(s Spool, err error) (Spool, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// endUnanswered gives back what was registered for opens that nobody was told of: the kernel asks for them again. Their
// captures are not adopted, so they end by themselves.
func (s *server) endUnanswered(over []*keptHandle) {
	for _, kept := range over {
		if kept.Backing != 0 && !s.backed(kept.Backing) {
			s.pass.unregister(kept.Backing)
		}
	}
}

func (s *server) backed(id int32) bool {
	for _, n := range s.tree.nodes {
		if n.open.backing == id {
			return true
		}
	}
	return false
}

// closeLeftover gives back the backing ids that were registered for an open which was not noted any more: they would
// hold deleted spools on the disk. The kernel counts ids upwards.
func (s *server) closeLeftover() {
	if s.pass.off() != nil {
		return
	}
	fd, err := unix.MemfdCreate("ftfuse-trial", unix.MFD_CLOEXEC)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	next, err := s.pass.register(fd)
	if err != nil {
		return
	}
	const most = 64 // far more than readers can have registered and not noted
	for id := max(0, min(s.keeper.last, next)-most) + 1; id <= next; id++ {
		if !s.backed(id) {
			s.pass.unregister(id)
		}
	}
	s.keeper.last = next
}

// kept returns what the next process must know of h.
func (h *handle) kept() keptHandle {
	k := keptHandle{FH: h.fh, Node: h.node.id, Flags: h.flags, Backing: h.backing, Path: []byte(h.path)}
	if h.spool != nil {
		k.Spool, k.Policy = h.spool.ID(), h.policy
	}
	if h.log != nil {
		k.Log, k.Policy = h.log.ID(), h.policy
	}
	if h.opener != nil && (h.spool != nil || h.log != nil) {
		w := *h.opener
		k.Comm, k.Exe = []byte(w.Comm), []byte(w.Exe)
		w.Comm, w.Exe = "", ""
		k.Writer = &w
	}
	return k
}

func (k *keptHandle) writer() *record.Writer {
	if k.Writer == nil {
		return nil
	}
	w := *k.Writer
	w.Comm, w.Exe = string(k.Comm), string(k.Exe)
	return &w
}

// restore puts h back where its number says.
func (t *handles) restore(h *handle) error {
	slot := uint32(h.fh & (1<<slotBits - 1))
	if slot == 0 || slot >= maxPages*pageSize {
		return fmt.Errorf("open file %x: its number is none", h.fh)
	}
	if t.pages[slot>>pageBits].Load() == nil {
		t.pages[slot>>pageBits].Store(new(page))
	}
	t.slot(h.fh).Store(h)
	t.n.Add(1)
	t.next, t.given = max(t.next, slot), max(t.given, h.fh>>slotBits)
	return nil
}

// restored finds the free slots.
func (t *handles) restored() {
	for slot := uint32(1); slot <= t.next; slot++ {
		if p := t.pages[slot>>pageBits].Load(); p == nil || p[slot&(pageSize-1)].Load() == nil {
			t.free = append(t.free, slot)
		}
	}
}
