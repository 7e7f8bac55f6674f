package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/attach"
)

// mountOptions is what -o says.
type mountOptions struct {
	socket    string
	timeout   time.Duration
	flags     attach.Flags
	ownerOnly bool
	remount   bool
	words     []string // as they were given, without those that say nothing
}

// flag is an option that sets a flag of the mount, and its opposite.
type flag struct {
	name, opposite string
	bits           uint64
	text           string
}

var flags = []flag{
	{"ro", "rw", unix.MOUNT_ATTR_RDONLY, "nobody can write"},
	{"nosuid", "suid", unix.MOUNT_ATTR_NOSUID, "set-user-ID bits mean nothing (always, unless suid is given)"},
	{"nodev", "dev", unix.MOUNT_ATTR_NODEV, "device files mean nothing (always, unless dev is given)"},
	{"noexec", "exec", unix.MOUNT_ATTR_NOEXEC, "nothing can be executed"},
	{"nosymfollow", "symfollow", unix.MOUNT_ATTR_NOSYMFOLLOW, "symbolic links are not followed"},
	{"noatime", "atime", unix.MOUNT_ATTR_NOATIME, "times of access stay as they are"},
	{"strictatime", "nostrictatime", unix.MOUNT_ATTR_STRICTATIME, "times of access are always kept"},
	{"relatime", "norelatime", unix.MOUNT_ATTR_RELATIME, "times of access are kept now and then (as is usual)"},
	{"nodiratime", "diratime", unix.MOUNT_ATTR_NODIRATIME, "times of access of directories stay as they are"},
}

// own are our options besides flags.
var own = []struct{ name, value, text string }{
	{"socket", "=PATH", "where the sender takes mounts (default " + defaultSocket + ")"},
	{"timeout", "=TIME", "how long the sender may take to answer, 45 or 1m30s (default 60)"},
	{"owner_only", "", "root alone sees the mount; for `allow_other: false` in sender.yaml"},
	{"remount", "", "change the flags of the mount that is there"},
}

// ignored are options that others read, or that say how it is anyway: mount(8) gives the latter to a remount. So are those
// that begin with x- or X-.
var ignored = strings.Fields("defaults auto noauto nofail _netdev user nouser users owner group comment helper uhelper " +
	"async silent loud nomand nolazytime noiversion allow_other default_permissions user_id group_id max_read")

const (
	defaultSocket  = "/run/ftfuse/mount.sock"
	defaultTimeout = time.Minute
)

// parseOptions reads the words of -o. Where two contradict each other the later one counts.
func parseOptions(words []string, ignoreUnknown bool) (mountOptions, error) {
	o := mountOptions{socket: defaultSocket, timeout: defaultTimeout}
	for _, word := range words {
		name, value, hasValue := strings.Cut(word, "=")
		if word == "" || slices.Contains(ignored, name) || strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "X-") {
			continue
		}
		known, err := o.set(name, value, hasValue)
		switch {
		case err != nil:
			return o, usageError{fmt.Errorf("option %s: %w", name, err), ""}
		case known:
			o.words = append(o.words, word)
		case !ignoreUnknown:
			return o, usageError{fmt.Errorf("got an unknown option %s", strconv.Quote(word)), "the options are " + strings.Join(validOptions(), ", ") + ", and x-*"}
		}
	}
	return o, nil
}

func (o *mountOptions) set(name, value string, hasValue bool) (known bool, err error) {
	for _, f := range flags {
		switch name {
		case f.name:
			o.change(f.bits, 0)
		case f.opposite:
			o.change(0, f.bits)
		default:
			continue
		}
		if hasValue {
			return true, fmt.Errorf("got value %q, want none", value)
		}
		return true, nil
	}
	switch name {
	case "socket":
		if !filepath.IsAbs(value) {
			return true, fmt.Errorf("got %q, want an absolute path", value)
		}
		o.socket = value
	case "timeout":
		if seconds, err := strconv.ParseUint(value, 10, 16); err == nil {
			o.timeout = time.Duration(seconds) * time.Second
		} else if o.timeout, err = time.ParseDuration(value); err != nil {
			return true, fmt.Errorf("got %q, want a time as 45 or 1m30s", value)
		}
		if o.timeout <= 0 {
			return true, fmt.Errorf("got %q, want more than 0", value)
		}
	case "owner_only", "remount":
		if hasValue {
			return true, fmt.Errorf("got value %q, want none", value)
		}
		o.ownerOnly = o.ownerOnly || name == "owner_only"
		o.remount = o.remount || name == "remount"
	default:
		return false, nil
	}
	return true, nil
}

// change adds to what is set and cleared. Ways of keeping times of access exclude each other; relatime is none of the
// bits, and no bit is left by an opposite of the others.
func (o *mountOptions) change(set, clear uint64) {
	const atime = unix.MOUNT_ATTR__ATIME
	if set&atime != 0 || clear&atime != 0 || set == 0 && clear == 0 {
		o.flags.Set &^= atime
		o.flags.Clear |= atime // the kernel wants it cleared to set it
		clear &^= atime
	}
	o.flags.Set = o.flags.Set&^clear | set
	o.flags.Clear = o.flags.Clear&^(set&^atime) | clear
}

func validOptions() (list []string) {
	for _, f := range flags {
		list = append(list, f.name, f.opposite)
	}
	for _, o := range own {
		list = append(list, o.name+o.value)
	}
	return append(list, ignored...)
}
