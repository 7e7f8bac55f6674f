// Command ftfuse captures what programs write to files, and delivers it to files on other machines.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	_ "time/tzdata" // time zones of outputs, also where the machine has no tz database

	"ftfuse/internal/plugin"
)

func main() {
	if err := plugin.ExecLimited(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "ftfuse: error:", err)
		os.Exit(127)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, handled...)
	os.Exit(run(os.Args[1:], &terminal{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ(), signals: signals,
	}))
}

// run runs one command and returns its exit code.
func run(args []string, t *terminal) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	root := newRoot(t)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code, said := explainExit(err)
	if !said {
		t.fail(err)
	}
	return code
}

// terminal is what a command has of the outside world.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
	signals  <-chan os.Signal
}

// errSaid is wrapped by errors that people have been told of already.
var errSaid = errors.New("said already")
