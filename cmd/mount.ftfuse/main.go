// Command mount.ftfuse mounts a directory that the sender serves, for mount(8), /etc/fstab and .mount units.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// version and commit are set by the linker.
var version, commit = "dev", "unknown"

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// run does what the arguments say and returns the exit code.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	c, err := parse(args)
	if err == nil {
		err = c.do(ctx, out)
	}
	if err == nil {
		return exitOK
	}
	explain(errs, err)
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailed
}

func (c *command) do(ctx context.Context, out io.Writer) error {
	switch {
	case c.help:
		return help(out)
	case c.manual:
		return manual(out)
	case c.version:
		_, err := fmt.Fprintf(out, "mount.ftfuse %s (%s)\n", version, commit)
		return err
	}
	if os.Geteuid() != 0 {
		return usageError{errors.New("only root may mount"), "run it as root"}
	}
	if c.repair {
		return c.repairAll(ctx, out)
	}
	said, err := c.mount(ctx)
	if err == nil && c.verbose {
		_, err = fmt.Fprintln(out, "mount.ftfuse: "+said)
	}
	return err
}

// command is the command line.
type command struct {
	what, where                       string
	options                           mountOptions
	repair, help, manual, version     bool
	checkOnly, ignoreUnknown, verbose bool
}

// parse reads a command line as mount(8) gives it ("External helpers"): WHAT WHERE [-sfnv] [-o OPTIONS] [-t TYPE].
func parse(args []string) (*command, error) {
	c := &command{}
	var places, words []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--repair":
			c.repair = true
		case arg == "--help", arg == "-h":
			c.help = true
		case arg == "--manual": // for the manual page, not for people
			c.manual = true
		case arg == "--version", arg == "-V":
			c.version = true
		case strings.HasPrefix(arg, "-") && arg != "-":
			value, rest, err := c.letters(arg, args)
			if err != nil {
				return nil, err
			}
			args = rest
			words = append(words, value...)
		default:
			places = append(places, arg)
		}
	}
	if c.help || c.manual || c.version {
		return c, nil
	}
	switch {
	case c.repair && len(places) > 0:
		return nil, usageError{fmt.Errorf("got %q with --repair, want neither WHAT nor WHERE", places), ""}
	case !c.repair && len(places) != 2:
		return nil, usageError{fmt.Errorf("got %d names, want WHAT (a mount of sender.yaml) and WHERE (its directory)", len(places)), ""}
	case !c.repair:
		c.what, c.where = mountName(places[0]), places[1]
	}
	var err error
	c.options, err = parseOptions(words, c.ignoreUnknown)
	return c, err
}

// letters reads one argument of single letters; value is what came with -o.
func (c *command) letters(arg string, args []string) (value, rest []string, err error) {
	for i, letter := range arg[1:] {
		switch letter {
		case 's':
			c.ignoreUnknown = true
		case 'f':
			c.checkOnly = true
		case 'n': // there is no mtab
		case 'v':
			c.verbose = true
		case 'o', 't', 'N':
			given := arg[i+2:]
			if given == "" && len(args) > 0 {
				given, args = args[0], args[1:]
			}
			switch {
			case given == "":
				return nil, nil, usageError{fmt.Errorf("got -%c without a value", letter), ""}
			case letter == 'N':
				return nil, nil, usageError{errors.New("got -N, want to mount in this namespace"), "run it by nsenter(1) --mount=" + given}
			case letter == 'o':
				value = strings.Split(given, ",")
			}
			return value, args, nil
		default:
			return nil, nil, usageError{fmt.Errorf("got an unknown argument %s", arg), ""}
		}
	}
	return nil, args, nil
}

// mountName undoes what mount(8) does to a name when a file of that name lies in its working directory: it makes a path
// of it. Names of mounts have no slash.
func mountName(what string) string { return what[strings.LastIndexByte(what, '/')+1:] }
