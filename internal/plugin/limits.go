package plugin

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// limitedName is the argument 0 by which ExecLimited knows that it is meant.
const limitedName = "ftfuse: limits of a plug-in"

// limited returns the program and arguments that run path with argv below the limits of o. Limits must hold before
// the child's program runs, and Go's fork has no place for them: they belong to the whole process, so this one cannot have
// them for a moment. So this program runs itself in between.
func (o *Options) limited(path string, argv []string) (string, []string) {
	if o.Memory == 0 && o.Files == 0 {
		return path, argv
	}
	return o.Self, append([]string{limitedName, strconv.FormatUint(o.Memory, 10), strconv.FormatUint(o.Files, 10), path}, argv...)
}

// ExecLimited is called first by the main of a program that runs plug-ins, with its os.Args. Unless it is meant, it returns
// nil. Else it becomes the plug-in's program, or returns why not: the process should end with status 127.
func ExecLimited(args []string) error {
	if len(args) < 5 || args[0] != limitedName {
		return nil
	}
	path, argv, env := args[3], args[4:], os.Environ()
	for i, l := range []struct {
		name string
		what int
	}{{"open files", syscall.RLIMIT_NOFILE}, {"memory", syscall.RLIMIT_AS}} { // memory last: this program needs more
		n, err := strconv.ParseUint(args[2-i], 10, 64)
		if err != nil {
			return fmt.Errorf("plug-in %s: limit of %s: got %q, want a number", path, l.name, args[2-i])
		}
		if n == 0 {
			continue
		}
		var now syscall.Rlimit
		if err := syscall.Getrlimit(l.what, &now); err != nil {
			return fmt.Errorf("plug-in %s: limit of %s: %w", path, l.name, err)
		}
		n = min(n, now.Max)
		if err := syscall.Setrlimit(l.what, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return fmt.Errorf("plug-in %s: limit of %s to %d: %w", path, l.name, n, err)
		}
	}
	return fmt.Errorf("plug-in %s: %w", path, os.NewSyscallError("execve", unfit(path, syscall.Exec(path, argv, env))))
}
