package node

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/mount"
)

// The directory below a mount that is unmounted is closed when nobody walks it any more: its number may be another file's then.
func TestUnmountedWhileItIsPickedUp(t *testing.T) {
	opened, err := mount.Open(mount.Options{Name: "app", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	m := &mounted{name: "app", root: opened.Below(), m: opened}
	s := &sender{log: slog.New(slog.DiscardHandler), mounts: []*mounted{m}}
	if fd, err := s.below("app"); err != nil {
		t.Error(err)
	} else {
		unix.Close(fd)
	}
	picked, done := make(chan struct{}), make(chan struct{})
	go func() { s.forget(m, picked); close(done) }()
	for len(s.live()) > 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := s.below("app"); !errors.Is(err, errNoMount) {
		t.Errorf("got %v, want %v", err, errNoMount)
	}
	if _, err := unix.FcntlInt(uintptr(m.root), unix.F_GETFD, 0); err != nil {
		t.Errorf("the directory below is closed while it is walked: %v", err)
	}
	close(picked)
	<-done
	if _, err := unix.FcntlInt(uintptr(m.root), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the directory below is open: %v", err)
	}
}
