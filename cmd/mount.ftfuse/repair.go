package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"ftfuse/internal/attach"
	"ftfuse/internal/notice"
	"ftfuse/internal/systemd"
)

// repairAll replaces every dead mount. A mount and its bind mounts are one group: the sender takes it at its own
// directory, the others become copies of it.
func (c *command) repairAll(ctx context.Context, out io.Writer) error {
	dead, err := attach.ListDead()
	if err != nil {
		return err
	}
	var failed []error
	for len(dead) > 0 {
		first := dead[0]
		var group []attach.Mount
		dead = slices.DeleteFunc(dead, func(m attach.Mount) bool {
			if !m.SameSuperblock(&first) {
				return false
			}
			group = append(group, m)
			return true
		})
		if err := c.repairGroup(ctx, out, group); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (c *command) repairGroup(ctx context.Context, out io.Writer, group []attach.Mount) error {
	served, err := c.repairOne(ctx, group)
	if errors.Is(err, errMeanwhile) {
		return nil
	}
	if err != nil {
		return err
	}
	sayReplaced(out, &served, fmt.Sprintf("the mount %s at %s was dead: replaced by a new one, which the sender serves", served.Source, served.Path))
	var failed []error
	for _, m := range group {
		if m.Path == served.Path {
			continue
		}
		if err := attach.Copy(served.Path, m.Root, m.Path, optionsOf(&m, c.options).flags); err != nil {
			failed = append(failed, noRepair{m, err})
			continue
		}
		sayReplaced(out, &m, fmt.Sprintf("its bind mount at %s was replaced too", m.Path))
	}
	return errors.Join(failed...)
}

// sayReplaced tells of a mount that programs have to come back to.
func sayReplaced(out io.Writer, m *attach.Mount, text string) {
	if systemd.InJournal() {
		journal().Warn(text, notice.MountReplaced, "mount", m.Source, "dir", m.Path)
		return
	}
	fmt.Fprintf(out, "mount.ftfuse: %s\n", text)
}

// journal is for what the service manager's --repair says; by hand it is said on the terminal.
func journal() *slog.Logger {
	return slog.New(systemd.NewHandler(slog.LevelInfo, slog.NewTextHandler(os.Stderr, nil)))
}

// errMeanwhile says that somebody else has replaced the mount since it was found dead: the unit repairs at each start, also
// when an operator does.
var errMeanwhile = errors.New("replaced meanwhile")

// repairOne finds the one of a group that the sender takes.
func (c *command) repairOne(ctx context.Context, group []attach.Mount) (served attach.Mount, err error) {
	var failed []error
	for _, m := range group {
		if m.Root != "/" {
			continue
		}
		o := optionsOf(&m, c.options)
		_, err := handOver(ctx, m.Source, m.Path, &o)
		if err == nil {
			return m, nil
		}
		if errors.Is(err, unix.EBUSY) && !attach.Dead(m.Path) {
			return m, errMeanwhile
		}
		failed = append(failed, noRepair{m, err})
	}
	if failed == nil {
		failed = append(failed, noRepair{group[0], errors.New("it is a bind mount of a part, the mount itself is gone")})
	}
	return served, errors.Join(failed...)
}
