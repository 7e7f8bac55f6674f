package handover

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Kernel registers backing files by itself, which needs CAP_SYS_ADMIN.
type Kernel struct{}

// Register makes fd's file a backing file of the connection that fuse, a descriptor of /dev/fuse, serves. Without
// CAP_SYS_ADMIN this is EPERM; a file system that is stacked itself is ELOOP.
func (Kernel) Register(fuse, fd int) (int32, error) {
	m := backingMap{fd: int32(fd)}
	id, _, no := unix.Syscall(unix.SYS_IOCTL, uintptr(fuse), backingOpen, uintptr(unsafe.Pointer(&m)))
	if no != 0 {
		return 0, fmt.Errorf("register backing file: %w", no)
	}
	return int32(id), nil
}

// Unregister undoes Register.
func (Kernel) Unregister(fuse int, id int32) error {
	_, _, no := unix.Syscall(unix.SYS_IOCTL, uintptr(fuse), backingClose, uintptr(unsafe.Pointer(&id)))
	if no != 0 {
		return fmt.Errorf("unregister backing file %d: %w", id, no)
	}
	return nil
}

// The ioctls of include/uapi/linux/fuse.h, Linux 6.9: _IOW(229, 1, struct fuse_backing_map) and _IOW(229, 2, uint32).
const (
	backingOpen  = 0x4010e501
	backingClose = 0x4004e502
)

// backingMap is struct fuse_backing_map.
type backingMap struct {
	fd    int32
	flags uint32
	_     uint64
}
