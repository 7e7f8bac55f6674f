package mount

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// The ioctls of include/uapi/linux/fuse.h, Linux 6.9: _IOW(229, 1, struct fuse_backing_map) and _IOW(229, 2, uint32).
const (
	backingOpen  = 0x4010e501
	backingClose = 0x4004e502
)

// passthrough registers backing files with the kernel, and knows why it cannot.
type passthrough struct {
	fd      int // of /dev/fuse
	backing Backing

	mu  sync.Mutex
	why error // not nil: the kernel or our rights do not allow it
}

func (p *passthrough) off() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why
}

func (p *passthrough) disable(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why == nil {
		p.why = why
	}
}

// register makes fd's file a backing file and returns its id. Without CAP_SYS_ADMIN this is EPERM; the file
// system below must not be stacked itself (ELOOP).
func (p *passthrough) register(fd int) (int32, error) {
	id, err := p.backing.Register(p.fd, fd)
	if err != nil {
		return 0, fmt.Errorf("register backing file: %w", err)
	}
	return id, nil
}

// unregister gives an id back. One that is given back already, by a process before this one, is no error.
func (p *passthrough) unregister(id int32) { _ = p.backing.Unregister(p.fd, id) }

// Backing asks the kernel to serve an open from another file. fuse is the descriptor of the connection.
type Backing interface {
	Register(fuse, fd int) (int32, error)
	Unregister(fuse int, id int32) error
}

// direct asks by itself, which needs CAP_SYS_ADMIN.
type direct struct{}

// Register implements Backing.
func (direct) Register(fd, file int) (int32, error) {
	m := fuse.BackingMap{Fd: int32(file)}
	id, _, no := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), backingOpen, uintptr(unsafe.Pointer(&m)))
	if no != 0 {
		return 0, no
	}
	return int32(id), nil
}

// Unregister implements Backing.
func (direct) Unregister(fd int, id int32) error {
	if _, _, no := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), backingClose, uintptr(unsafe.Pointer(&id))); no != 0 {
		return no
	}
	return nil
}

var (
	errSwitchedOff = errors.New("switched off by the configuration")
	errOldKernel   = errors.New("the kernel has no FUSE passthrough (Linux 6.9, CONFIG_FUSE_PASSTHROUGH)")
)

// probe decides once, at mount, from what INIT offered and one registration on trial.
func (p *passthrough) probe(init *fuse.InitIn, wanted bool) {
	switch {
	case !wanted:
		p.disable(errSwitchedOff)
	case init.Flags64()&fuse.CAP_PASSTHROUGH == 0:
		p.disable(errOldKernel)
	default:
		if err := p.trial(); err != nil {
			p.disable(err)
		}
	}
}

func (p *passthrough) trial() error {
	fd, err := unix.MemfdCreate("ftfuse-trial", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("try a backing file: %w", err)
	}
	defer unix.Close(fd)
	id, err := p.register(fd)
	if err != nil {
		return err
	}
	p.unregister(id)
	return nil
}
