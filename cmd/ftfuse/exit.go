package main

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
)

// The exit codes. 64 and above are those of sysexits(3). The units name those that a restart does not mend in
// RestartPreventExitStatus.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 64
	exitNotRunning = 69
	exitInUse      = 75
	exitPermission = 77
	exitConfig     = 78
)

var exitCodes = []struct {
	code int
	text string
}{
	{exitOK, "done"},
	{exitFailed, "failed (or warnings, where they are denied)"},
	{exitUsage, "wrong command line"},
	{exitNotRunning, "nobody answers"},
	{exitInUse, "in use by another ftfuse"},
	{exitPermission, "not permitted"},
	{exitConfig, "the configuration has errors"},
}

// exitTable is the list of exit codes for the help, in lines of at most 80 columns.
func exitTable() string {
	text, column := "exit codes:", len("exit codes:")
	for i, e := range exitCodes {
		item := fmt.Sprintf(" %d %s", e.code, e.text)
		if i < len(exitCodes)-1 {
			item += ","
		}
		if column+len(item) > 80 {
			text, column = text+"\n ", 1
		}
		text, column = text+item, column+len(item)
	}
	return text + "\n"
}

// usageError is a mistake on the command line.
type usageError struct {
	err     error
	command string // whose help says more
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// exitError gives an error an exit code of its own.
type exitError struct {
	err  error
	code int
	hint string
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

// explainExit returns the exit code for an error, and whether people have been told of it.
func explainExit(err error) (code int, said bool) {
	said = errors.Is(err, errSaid)
	var own exitError
	switch {
	case errors.As(err, &own):
		return own.code, said
	case errors.As(err, new(usageError)):
		return exitUsage, said
	case errors.Is(err, config.ErrInvalid):
		return exitConfig, said
	case errors.Is(err, control.ErrNotRunning):
		return exitNotRunning, said
	case isInUse(err):
		return exitInUse, said
	case errors.Is(err, fs.ErrPermission):
		return exitPermission, said
	}
	return exitFailed, said
}

// isInUse reports whether another ftfuse is in the way: it answers on the socket, holds the lock of the state folder,
// or serves the mount.
func isInUse(err error) bool {
	return errors.Is(err, control.ErrInUse) || errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EBUSY)
}

// hintFor says what to do about an error, "" if nothing is known.
func hintFor(err error) string {
	var own exitError
	var answer *control.Error
	var usage usageError
	switch {
	case errors.As(err, &own) && own.hint != "":
		return own.hint
	case errors.As(err, &answer):
		return answer.Hint
	case errors.As(err, &usage):
		return "see `" + usage.command + " --help`"
	case errors.Is(err, control.ErrNotRunning):
		return "start it with `ftfuse sender` or `ftfuse receiver`, or name its file with --config"
	case isInUse(err):
		return "`ftfuse status` shows it"
	case errors.Is(err, unix.EADDRINUSE):
		return "`ss -ltnp` shows who listens there; stop it, or change `listen`"
	case errors.Is(err, fs.ErrPermission):
		return "run it as root, or as a user who may do this"
	}
	return ""
}
