package mount

import (
	"time"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Another program may have a lease on a file below (F_SETLEASE in fcntl(2); servers of SMB and NFS take some). What conflicts
// with it makes the kernel take it back, at the latest after /proc/sys/fs/lease-break-time, which is 45 s. Whoever opens or
// cuts the file waits for that as long as he would without the mount, and nobody else does: readers go on, and no lock is held.
// No signal ends his wait: all that could be answered is EINTR, also to a program that has asked for calls to be restarted.
const (
	leaseRest  = 20 * time.Millisecond // between tries
	leaseLimit = 2 * time.Minute       // then somebody takes one after the other, or has raised that time
)

// waitsForLease says of which requests the application waits for a lease: those that do not ask to be told instead.
func waitsForLease(b []byte) bool {
	in := (*fuse.OpenIn)(unsafe.Pointer(&b[0]))
	return in.Opcode == opSetAttr || in.Opcode == opOpen && len(b) >= int(unsafe.Sizeof(*in)) && in.Flags&unix.O_NONBLOCK == 0
}

// leased says that an answer is EAGAIN.
func leased(answer []byte) bool {
	return len(answer) >= outHeaderSize && (*fuse.OutHeader)(unsafe.Pointer(&answer[0])).Status == -int32(unix.EAGAIN)
}

// handleLeased serves an OPEN or a SETATTR, and goes on in a goroutine when a lease is in the way.
func (r *reader) handleLeased(b []byte) {
	unique := (*fuse.InHeader)(unsafe.Pointer(&b[0])).Unique
	if r.forwardUnless(leased, b, r.out) {
		return
	}
	c := append([]byte(nil), b...)
	never := unique | 1 // no INTERRUPT names an odd number
	cancel := r.waits.join(never)
	r.apart(unique, func(out []byte) {
		defer r.waits.part(never)
		rest := time.NewTicker(leaseRest)
		defer rest.Stop()
		for end := time.Now().Add(leaseLimit); time.Now().Before(end); {
			select {
			case <-cancel: // the connection ends, or is left to the next process, which is asked again
				r.reply(out, unique, fuse.EINTR, 0)
				r.answered(unique)
				return
			case <-rest.C:
			}
			if r.forwardUnless(leased, c, out) {
				return
			}
		}
		r.forward(c, out) // EAGAIN, as open(2) says it of a lease, if it is still so
	})
}
