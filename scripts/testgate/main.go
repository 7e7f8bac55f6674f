// Command testgate runs `go test` with the given arguments and fails also when a test was skipped, because a skipped test proves nothing.
//
// Packages that pass are one line, as go test prints it; of a package that fails or skips everything is printed, and of one
// that takes long the tests that take longest. The exit status is 0, or 1 when something failed, was skipped, or when no test ran at all.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "testgate: error: go test: %v\n", err)
		return 1
	}
	g := gate{out: os.Stdout, packages: map[string]*pkg{}}
	readErr := g.read(out)
	testErr := cmd.Wait()
	g.unfinished()
	switch {
	case readErr != nil:
		fmt.Fprintf(os.Stderr, "testgate: error: output of go test: %v\n", readErr)
	case testErr != nil:
		fmt.Fprintf(os.Stderr, "testgate: error: go test: %v\n", testErr)
	case len(g.skipped) > 0:
		fmt.Fprintf(os.Stderr, "testgate: error: %d tests skipped, want none\n", len(g.skipped))
		for _, s := range g.skipped {
			fmt.Fprintf(os.Stderr, "  %s\n", s)
		}
	case g.passed == 0:
		fmt.Fprintln(os.Stderr, "testgate: error: no test ran")
	default:
		return 0
	}
	return 1
}

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
	Elapsed    float64
}

// pkg is what a package has said so far.
type pkg struct {
	output  []string
	tests   map[string][]string // output by test, until the test ends
	skipped bool
	took    []timed // by its tests, without those inside of others
}

// timed is how long a test took.
type timed struct {
	test    string
	seconds float64
}

// gate reads events. It is used by one goroutine.
type gate struct {
	out      io.Writer
	packages map[string]*pkg
	skipped  []string // "package test: reason"
	passed   int
}

func (g *gate) read(r io.Reader) error {
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		l, err := lines.ReadBytes('\n')
		if len(l) > 0 {
			g.line(l)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (g *gate) line(l []byte) {
	var e event
	if !bytes.HasPrefix(l, []byte{'{'}) || json.Unmarshal(l, &e) != nil {
		_, _ = g.out.Write(l) // what go itself says between events
		return
	}
	if e.Action == "build-output" {
		fmt.Fprint(g.out, e.Output)
		return
	}
	if e.Package == "" {
		return
	}
	p := g.packages[e.Package]
	if p == nil {
		p = &pkg{tests: map[string][]string{}}
		g.packages[e.Package] = p
	}
	g.event(p, &e)
}

func (g *gate) event(p *pkg, e *event) {
	switch e.Action {
	case "output":
		p.output = append(p.output, e.Output)
		if e.Test != "" {
			p.tests[e.Test] = append(p.tests[e.Test], e.Output)
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			g.finish(p, e)
			delete(g.packages, e.Package)
			return
		}
		if !strings.Contains(e.Test, "/") {
			p.took = append(p.took, timed{e.Test, e.Elapsed})
		}
		if e.Action == "skip" {
			p.skipped = true
			g.skipped = append(g.skipped, e.Package+" "+e.Test+": "+reason(p.tests[e.Test]))
		}
		if e.Action == "pass" {
			g.passed++
		}
		delete(p.tests, e.Test)
	}
}

// finish prints a package that has ended.
func (g *gate) finish(p *pkg, e *event) {
	whole := e.Action == "fail" || p.skipped
	for _, l := range p.output {
		closing := strings.HasPrefix(l, "ok  \t") || strings.HasPrefix(l, "FAIL\t") || strings.HasPrefix(l, "?   \t")
		if closing || whole && !noise(l) {
			fmt.Fprint(g.out, l)
		}
	}
	if e.Elapsed > slow {
		fmt.Fprintf(g.out, "testgate: warning: %s took longer than %d s: %s\n", e.Package, slow, longest(p.took))
	}
}

// slow is how long a package may take before its tests are looked at, in seconds; longestTests how many of them are told.
const (
	slow         = 120
	longestTests = 12
)

// longest lists the tests that took longest. Those that ran side by side add up to more than the package.
func longest(took []timed) string {
	slices.SortFunc(took, func(a, b timed) int { return cmp.Compare(b.seconds, a.seconds) })
	var list []string
	for _, t := range took[:min(len(took), longestTests)] {
		list = append(list, fmt.Sprintf("%s %.0f", t.test, t.seconds))
	}
	return strings.Join(list, ", ")
}

// unfinished prints what packages said that never ended, for example because go test was killed.
func (g *gate) unfinished() {
	for name, p := range g.packages {
		fmt.Fprintf(g.out, "testgate: %s did not end\n%s", name, strings.Join(p.output, ""))
	}
}

// noise reports whether a line only says that a test begins or has passed.
func noise(l string) bool {
	l = strings.TrimLeft(l, " ")
	for _, p := range []string{"=== RUN", "=== PAUSE", "=== CONT", "=== NAME", "--- PASS", "PASS"} {
		if strings.HasPrefix(l, p) {
			return true
		}
	}
	return false
}

// reason returns what a test said before it was skipped.
func reason(output []string) string {
	var said []string
	for _, l := range output {
		if l = strings.TrimSpace(l); l != "" && !noise(l) && !strings.HasPrefix(l, "--- ") {
			said = append(said, l)
		}
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}
