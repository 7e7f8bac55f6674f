// Command nullfs mounts the go-fuse file system that does nothing: a stock fuse.Server whose writes are thrown away, as the yardstick for write capture.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: nullfs DIRECTORY")
		return 2
	}
	// No xattrs: else each write is preceded by a GETXATTR.
	server, err := fuse.NewServer(&null{RawFileSystem: fuse.NewDefaultRawFileSystem()}, args[0], &fuse.MountOptions{
		AllowOther: true, DirectMountStrict: true, DisableXAttrs: true, MaxWrite: 1 << 20, Name: "null", FsName: "null",
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "nullfs: error: mount %s: %v\n", args[0], err)
		return 1
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	unmounted := make(chan error, 1)
	go func() {
		<-stop
		unmounted <- server.Unmount()
	}()
	server.Serve()
	if err := <-unmounted; err != nil {
		fmt.Fprintf(os.Stderr, "nullfs: error: unmount %s: %v\n", args[0], err)
		return 1
	}
	return 0
}

// null lets any name be created and remembers none. Its methods are called concurrently.
type null struct {
	fuse.RawFileSystem
	last atomic.Uint64 // inode number given last; the root has 1
}

func attr(ino uint64, a *fuse.Attr) {
	a.Ino, a.Nlink, a.Mode = ino, 1, syscall.S_IFREG|0o644
	if ino == fuse.FUSE_ROOT_ID {
		a.Nlink, a.Mode = 2, syscall.S_IFDIR|0o755
	}
}

func (n *null) Lookup(<-chan struct{}, *fuse.InHeader, string, *fuse.EntryOut) fuse.Status {
	return fuse.ENOENT
}

func (n *null) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	attr(in.NodeId, &out.Attr)
	return fuse.OK
}

func (n *null) Create(_ <-chan struct{}, _ *fuse.CreateIn, _ string, out *fuse.CreateOut) fuse.Status {
	out.NodeId = fuse.FUSE_ROOT_ID + n.last.Add(1)
	attr(out.NodeId, &out.Attr)
	out.OpenFlags = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH
	return fuse.OK
}

func (n *null) Write(_ <-chan struct{}, _ *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	return uint32(len(data)), fuse.OK
}

func (n *null) Release(<-chan struct{}, *fuse.ReleaseIn) {}
