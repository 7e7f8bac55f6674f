package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"ftfuse/internal/attach"
	"ftfuse/internal/handover"
	"ftfuse/internal/notice"
	"ftfuse/internal/systemd"
)

// usageError is a mistake of the one who called.
type usageError struct {
	err  error
	hint string // "": the help
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// noPlace is a directory that cannot be mounted on.
type noPlace struct {
	err  error
	path string
}

func (e noPlace) Error() string { return e.err.Error() }
func (e noPlace) Unwrap() error { return e.err }

// noRepair is a dead mount that stays dead.
type noRepair struct {
	mount attach.Mount
	err   error
}

func (e noRepair) Error() string {
	return fmt.Sprintf("repair the dead mount %s at %s: %s", e.mount.Source, e.mount.Path, text(e.err))
}
func (e noRepair) Unwrap() error { return e.err }

// explain says what went wrong, and what to do about it, in the voice of ftfuse. Joined errors are said one by one.
func explain(w io.Writer, err error) {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range all.Unwrap() {
			explain(w, one)
		}
		return
	}
	if errors.As(err, new(noRepair)) && systemd.InJournal() {
		journal().Error(text(err), notice.MountDead, "hint", hint(err))
		return
	}
	fmt.Fprintf(w, "mount.ftfuse: error: %s\n", text(err))
	if h := hint(err); h != "" {
		fmt.Fprintf(w, "hint: %s\n", h)
	}
}

// text is what an error says. The sender's reason stands for itself, and the system's words for EBUSY say it worse.
func text(err error) string {
	var refusal *handover.Refusal
	var repair noRepair
	if errors.As(err, &refusal) && !errors.As(err, &repair) {
		return oneLine(refusal.Text)
	}
	return oneLine(strings.TrimSuffix(err.Error(), ": "+unix.EBUSY.Error()))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func hint(err error) string {
	var refusal *handover.Refusal
	var usage usageError
	var place noPlace
	var repair noRepair
	switch {
	case errors.As(err, &usage):
		if usage.hint == "" {
			return "see `mount.ftfuse --help`"
		}
		return usage.hint
	case errors.As(err, &refusal):
		return oneLine(refusal.Hint)
	case errors.Is(err, handover.ErrNotRunning):
		return "start it with `systemctl start ftfuse-sender.socket`, or name its socket with -o socket=PATH"
	case errors.Is(err, handover.ErrEnded):
		return "`journalctl -u ftfuse-sender` says why"
	case errors.Is(err, handover.ErrNoAnswer):
		return "`systemctl status ftfuse-sender` shows what it does; -o timeout=TIME waits longer"
	case errors.As(err, &place) && errors.Is(err, fs.ErrNotExist):
		return "create it with `mkdir -p " + place.path + "`"
	case errors.As(err, &place) && errors.Is(err, unix.EBUSY):
		return "`umount " + place.path + "` takes it away, `mount -o remount` changes its flags"
	case errors.As(err, &place) && errors.Is(err, unix.ENOTDIR):
		return "name a directory"
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return "load FUSE with `modprobe fuse`"
	case errors.Is(err, fs.ErrPermission):
		return "mounting needs CAP_SYS_ADMIN, and /dev/fuse in a container"
	case errors.As(err, &repair):
		return "unmount it with `umount -l " + repair.mount.Path + "` and mount it again"
	}
	return ""
}
