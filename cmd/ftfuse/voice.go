package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/notice"
	"ftfuse/internal/systemd"
)

// What people read is in one voice: `ftfuse: error: ...`, lower case, no full stop, then `hint: ...` with what to
// type. What programs read goes to standard output and never to standard error.

// fail says what went wrong. Of a configuration it says every mistake.
func (t *terminal) fail(err error) {
	if systemd.InJournal() {
		t.failInJournal(err)
		return
	}
	var problems config.Problems
	if errors.As(err, &problems) {
		t.problems(problems)
		return
	}
	text := err.Error()
	if isInUse(err) { // the message says who is in the way, the system's words say it worse
		text = strings.TrimSuffix(text, ": "+unix.EWOULDBLOCK.Error())
		text = strings.TrimSuffix(text, ": "+unix.EBUSY.Error())
	}
	lines := strings.Split(strings.TrimSpace(text), "\n") // of joined errors
	for _, line := range lines[:len(lines)-1] {
		t.say("error", red, line, "")
	}
	t.say("error", red, lines[len(lines)-1], hintFor(err))
}

// failInJournal says the same as one message each, with its fields.
func (t *terminal) failInJournal(err error) {
	log := t.logger(config.Log{Level: "info", Format: "auto"})
	var problems config.Problems
	if !errors.As(err, &problems) {
		code, _ := explainExit(err)
		id := notice.Failed
		if code == exitConfig {
			id = notice.ConfigRefused
		}
		log.Error(strings.TrimSpace(err.Error()), id, "exit_code", code, "hint", hintFor(err))
		return
	}
	for _, p := range problems {
		if p.Warning {
			log.Warn(p.Error(), "hint", p.Hint)
		} else {
			log.Error(p.Error(), notice.ConfigRefused, "hint", p.Hint)
		}
	}
}

func (t *terminal) problems(list config.Problems) {
	for _, p := range list {
		kind, colour := "error", red
		if p.Warning {
			kind, colour = "warning", yellow
		}
		t.say(kind, colour, p.Error(), p.Hint)
	}
}

const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	dim    = "\x1b[2m"
	reset  = "\x1b[0m"
)

func (t *terminal) say(kind, colour, text, hint string) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = safe([]byte(line)) // names of files are anybody's
	}
	text = strings.Join(lines, "\n")
	if t.colourful(t.err) {
		kind = colour + kind + reset
	}
	fmt.Fprintf(t.err, "ftfuse: %s: %s\n", kind, text)
	if hint != "" {
		fmt.Fprintf(t.err, "hint: %s\n", hint)
	}
}

// isTerminal reports whether w is a terminal.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colourful reports whether w takes colours: a terminal that can, of a person who did not say NO_COLOR
// (https://no-color.org).
func (t *terminal) colourful(w io.Writer) bool {
	return isTerminal(w) && t.getenv("NO_COLOR") == "" && t.getenv("TERM") != "dumb"
}

func (t *terminal) getenv(name string) string {
	i := slices.IndexFunc(t.environ, func(e string) bool { return strings.HasPrefix(e, name+"=") })
	if i < 0 {
		return ""
	}
	return t.environ[i][len(name)+1:]
}

// height is the number of lines of a terminal on standard output, 0 if it is none.
func (t *terminal) height() int {
	if f, ok := t.out.(*os.File); ok {
		if _, height, err := term.GetSize(int(f.Fd())); err == nil {
			return height
		}
	}
	return 0
}

// style says how tables are printed on standard output.
func (t *terminal) style() control.Style {
	s := control.Style{Colour: t.colourful(t.out)}
	if f, ok := t.out.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			s.Width = width
		}
	}
	return s
}
