package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// table is one result. Rows have as many cells as the head.
type table struct {
	title, note string
	head        []string
	rows        [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// report collects the tables for the markdown file.
type report struct {
	conditions []string
	tables     []table
}

// add prints a table and keeps it.
func (r *report) add(t table) error {
	r.tables = append(r.tables, t)
	fmt.Printf("\n%s\n\n", t.title)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range append([][]string{t.head}, t.rows...) {
		fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if t.note != "" {
		fmt.Printf("\n%s\n", t.note)
	}
	return nil
}

// The marks around the part of the markdown file that is the program's own.
const (
	beginMark = "<!-- bench: begin -->\n"
	endMark   = "<!-- bench: end -->\n"
)

// keep replaces the part of a markdown file between the marks, or appends it.
func (r *report) keep(path string) error {
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	before, rest, found := bytes.Cut(old, []byte(beginMark))
	_, after, ended := bytes.Cut(rest, []byte(endMark))
	if found && !ended {
		return fmt.Errorf("%s: %q without %q", path, strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(beginMark)
	for _, c := range r.conditions {
		fmt.Fprintf(&b, "- %s\n", c)
	}
	for _, t := range r.tables {
		t.markdown(&b)
	}
	b.WriteString(endMark)
	b.Write(after)
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func (t *table) markdown(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n### %s\n\n| %s |\n|%s\n", t.title, strings.Join(t.head, " | "), strings.Repeat("---|", len(t.head)))
	for _, row := range t.rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
	if t.note != "" {
		fmt.Fprintf(b, "\n%s\n", t.note)
	}
}

// conditions says what the figures depend on.
func conditions(ctx context.Context, o options, program string) []string {
	var u unix.Utsname
	kernel := "unknown"
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	out, err := exec.CommandContext(ctx, program, "version").Output()
	version, _, _ := strings.Cut(string(out), "\n")
	if err != nil {
		version = "ftfuse of unknown version"
	}
	load, _ := os.ReadFile("/proc/loadavg")
	minute, _, _ := strings.Cut(string(load), " ")
	return []string{
		fmt.Sprintf("%s, %s, load average before %s", version, time.Now().UTC().Format("2006-01-02"), minute),
		fmt.Sprintf("%d cores (%s), Linux %s, %s", runtime.NumCPU(), model(), kernel, runtime.Version()),
		fmt.Sprintf("disk: %s, memory: %s", fileSystem(ctx, o.disk), fileSystem(ctx, o.memory)),
	}
}

func model() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, _ := strings.Cut(string(b), "model name\t: ")
	name, _, _ := strings.Cut(rest, "\n")
	if name == "" {
		return runtime.GOARCH
	}
	return name
}

func fileSystem(ctx context.Context, path string) string {
	out, err := exec.CommandContext(ctx, "findmnt", "-n", "-o", "FSTYPE", "-T", path).Output()
	if err != nil || len(out) == 0 {
		return "unknown"
	}
	lines := strings.Fields(string(out)) // one for each mount on top of the other; the last is seen
	return lines[len(lines)-1]
}

// number prints three figures that matter, with commas between thousands.
func number(v float64) string {
	switch {
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// progress says on standard error how far the measurement is.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
