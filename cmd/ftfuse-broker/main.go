// Command ftfuse-broker registers backing files with the kernel for a sender that may not do it itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"ftfuse/internal/handover"
	"ftfuse/internal/systemd"
)

// version and commit are set by the linker.
var version, commit = "dev", "unknown"

// The exit codes; 64 and 77 are those of sysexits(3).
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 64
	exitPermission = 77
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run serves until ctx ends and returns the exit code.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	var o options
	f := flag.NewFlagSet("ftfuse-broker", flag.ContinueOnError)
	f.SetOutput(errs)
	f.StringVar(&o.socket, "socket", "", "listen on `PATH` instead of a socket of the service manager")
	f.StringVar(&o.user, "user", "ftfuse", "serve the processes of `USER` (and root's)")
	showVersion := f.Bool("version", false, "print the version")
	f.Usage = func() {
		fmt.Fprint(errs, "usage: ftfuse-broker [--socket PATH] [--user USER]\n\n"+
			"Registers files as backing files of FUSE mounts (FUSE_DEV_IOC_BACKING_OPEN) for\n"+
			"a sender without CAP_SYS_ADMIN. It does nothing else.\n\n")
		f.PrintDefaults()
		fmt.Fprintf(errs, "\nexit codes: %d stopped, %d failed, %d wrong command line, %d not permitted\n", exitOK, exitFailed, exitUsage, exitPermission)
	}
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case f.NArg() > 0:
		fmt.Fprintf(errs, "ftfuse-broker: error: got %q, want options only\nhint: see `ftfuse-broker --help`\n", f.Args())
		return exitUsage
	}
	if *showVersion {
		fmt.Fprintf(out, "ftfuse-broker %s (%s)\n", version, commit)
		return exitOK
	}
	err := serve(ctx, o, logger(errs))
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(errs, "ftfuse-broker: error: %s\n", err)
	if errors.Is(err, fs.ErrPermission) {
		return exitPermission
	}
	return exitFailed
}

type options struct{ socket, user string }

func serve(ctx context.Context, o options, log *slog.Logger) error {
	who, err := user.Lookup(o.user)
	if err != nil {
		return fmt.Errorf("find the user to serve: %w", err)
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return fmt.Errorf("find the user to serve: got user id %q of %s, want a number", who.Uid, o.user)
	}
	l, err := listen(o.socket, int(uid))
	if err != nil {
		return err
	}
	if err := mayRegister(); err != nil {
		log.Warn("every request will be refused", "reason", err)
	}
	if err := errors.Join(systemd.Status("registers backing files for "+o.user), systemd.Ready()); err != nil {
		log.Warn("cannot tell the service manager", "error", err)
	}
	return handover.ServeBroker(ctx, l, uint32(uid), log)
}

// mayRegister says by an error that the kernel will refuse what is asked of it (FUSE_DEV_IOC_BACKING_OPEN wants
// CAP_SYS_ADMIN).
func mayRegister() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if data[0].Effective&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return fmt.Errorf("got capabilities %#x, want CAP_SYS_ADMIN", data[0].Effective)
	}
	return nil
}

// logger writes to the journal if standard error is connected to it.
func logger(errs io.Writer) *slog.Logger {
	text := slog.NewTextHandler(errs, nil)
	if systemd.InJournal() {
		return slog.New(systemd.NewHandler(slog.LevelInfo, text))
	}
	return slog.New(text)
}
