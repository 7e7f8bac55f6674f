package mount

import (
	"errors"
	"fmt"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
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
	return p.backing.Register(p.fd, fd)
}

// unregister gives an id back. One that is given back already, by a process before this one, is no error.
func (p *passthrough) unregister(id int32) { _ = p.backing.Unregister(p.fd, id) }

// Backing asks the kernel to serve an open from another file. fuse is the descriptor of the connection.
type Backing interface {
	Register(fuse, fd int) (int32, error)
	Unregister(fuse int, id int32) error
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
