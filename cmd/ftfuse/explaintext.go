package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
)

// explained is an explanation in the making: a label, and a text beside it.
type explained struct {
	strings.Builder
}

// What stands where, in columns.
const (
	labelWidth   = 10
	explainWidth = 80
)

var numbered = regexp.MustCompile(`^[0-9]+\. `)

// row adds a text beside a label; further lines of it stand below each other.
func (x *explained) row(label, text string) {
	indent := strings.Repeat(" ", 2+labelWidth+1)
	if numbered.MatchString(text) {
		indent += "   "
	}
	line := fmt.Sprintf("  %-*s", labelWidth, label)
	for _, word := range strings.Split(safe([]byte(text)), " ") {
		if utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > explainWidth && strings.TrimSpace(line) != label {
			fmt.Fprintln(x, line)
			line = indent[1:]
		}
		line += " " + word
	}
	fmt.Fprintln(x, line)
}

// rows is row for several texts, the label beside the first.
func (x *explained) rows(label string, texts []string) {
	for _, text := range texts {
		x.row(label, text)
		label = ""
	}
}

// explanation puts e into words.
func explanation(q question, e *control.Explanation) string {
	x := &explained{}
	if q.role == config.RoleReceiver {
		fmt.Fprintf(x, "%s of %s\n", printable(q.path), printable(q.host))
	} else {
		fmt.Fprintln(x, printable(q.path))
		x.row("mount", e.Mount+", as "+printable(e.File()))
	}
	x.rule(e)
	if !e.Send {
		x.row("sent", "no: it is stored below the mount")
	} else {
		x.passing(e)
	}
	if len(e.To) > 0 {
		fmt.Fprintln(x, map[config.Role]string{config.RoleReceiver: "outputs:", config.RoleSender: "targets and outputs:"}[q.role])
	}
	for _, to := range e.To {
		x.row(to.Name, targetText(&to))
	}
	if len(e.Candidates) > 1 {
		fmt.Fprintln(x, "rules that match too:")
		for _, c := range e.Candidates[1:] {
			x.row(c.Rule, c.Pattern+": "+c.Why)
		}
	}
	if !e.Live {
		fmt.Fprintf(x, "no %s is running: this is what the configuration says\n", q.role)
	}
	return x.String()
}

func (x *explained) rule(e *control.Explanation) {
	switch {
	case len(e.Candidates) == 0 && e.ExplainedCapture == nil:
		x.row("rule", "no rule matches: everything goes to every output")
		return
	case len(e.Candidates) == 0:
		x.row("rule", "no rule matches: the defaults hold")
		return
	}
	x.row("rule", fmt.Sprintf("%s by pattern %s, %s", e.Rule, e.Candidates[0].Pattern, e.Candidates[0].Why))
}

// passing says what is done to what is sent.
func (x *explained) passing(e *control.Explanation) {
	label := "sent"
	if e.ExplainedCapture == nil {
		label = "written"
	}
	x.row(label, "to "+strings.Join(e.Targets, ", ")+filtersOnly(e))
	if c := e.ExplainedCapture; c != nil {
		x.row("capture", captureText(c))
		x.row("records", recordsText(c))
		if c.JoinStart+c.JoinContinue != "" {
			x.row("joined", joinText(c))
		}
		if !isNever(c.BatchWait) {
			x.row("batch", batchText(c))
		}
	}
	x.rows("filters", filtersText(e))
	x.rows("limits", limitTexts(e.Limits))
	if c := e.ExplainedCapture; c != nil {
		x.row("readback", config.Size(c.Readback).String()+" stay readable after delivery")
		x.row("expires", orNever(c.Expire, "after "))
		x.row("when full", whenFull(c))
	}
}

// filtersOnly names those that only filters send to.
func filtersOnly(e *control.Explanation) string {
	var names []string
	for _, to := range e.To {
		if !to.ByRule {
			names = append(names, to.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "; filters may name " + strings.Join(names, ", ")
}

func filtersText(e *control.Explanation) []string {
	lines := e.Filters
	if len(lines) == 0 && e.Otherwise != "deny" {
		lines = []string{"none: every record passes"}
	} else {
		lines = append(lines[:len(lines):len(lines)], "otherwise: "+e.Otherwise)
	}
	if e.Sample > 1 {
		lines = append(lines, fmt.Sprintf("of all records one in %d passes, drawn before the filters", e.Sample))
	}
	return lines
}

func limitTexts(limits []control.ExplainedLimit) (texts []string) {
	for i, l := range limits {
		var parts []string
		if l.Bytes > 0 {
			parts = append(parts, config.Size(l.Bytes).String()+" a second")
		}
		if l.Records > 0 {
			parts = append(parts, strconv.Itoa(l.Records)+" records a second")
		}
		if len(parts) > 0 {
			parts[len(parts)-1] += ", saved up for " + shortDuration(l.Burst)
		}
		if l.Quota > 0 {
			parts = append(parts, config.Size(l.Quota).String()+" in each "+shortDuration(l.Every))
		}
		who := map[string]string{"rule": "for the whole rule", "uid": "for each user", "unit": "for each systemd unit"}[l.Per]
		texts = append(texts, fmt.Sprintf("%d. %s, %s; what goes beyond is dropped", i+1, strings.Join(parts, " and "), who))
	}
	return texts
}

// targetText says what a target or output is.
func targetText(to *control.ExplainedTarget) string {
	text := map[string]string{"target": "receiver at ", "file": "files ", "journal": "", "plugin": "plug-in "}[to.Type] + to.Where
	parts := []string{text}
	if to.Format != "" {
		parts = append(parts, "format "+to.Format)
	}
	parts = append(parts, to.Notes...)
	if to.Backlog > 0 {
		parts = append(parts, "at most "+config.Size(to.Backlog).String()+" wait for it, the oldest are dropped")
	}
	if !to.ByRule {
		parts = append(parts, "by filters only")
	}
	return strings.Join(parts, ", ")
}

func captureText(c *control.ExplainedCapture) string {
	if c.CaptureWhy != "" {
		return fmt.Sprintf("%s; `>>` gets %s", c.Capture, c.CaptureWhy)
	}
	switch {
	case c.Capture == "write":
		return "write: every write is seen"
	case hasPassthrough(kernelRelease()):
		return c.Capture + "; `>>` gets open capture on this kernel, other opens write capture"
	}
	return c.Capture + "; write capture, as this kernel has no FUSE passthrough (Linux 6.9)"
}

func recordsText(c *control.ExplainedCapture) string {
	text := map[string]string{"line": "lines", "write": "one for each write", "binary": "none: a stream of bytes"}[c.Unit]
	if c.Unit == "line" {
		text += map[string]string{"crlf": " that end with CR LF", "cr": " that end with CR", "nul": " that end with NUL", "any": " that end with LF, CR LF, CR or NUL"}[c.LineEnd]
		if isNever(c.MaxAge) {
			text += ", a partial one waits for its end"
		} else {
			text += ", a partial one is sent after " + c.MaxAge
		}
	}
	size := config.Size(c.MaxRecord).String()
	switch c.TooLong {
	case "truncate":
		return text + ", those of more than " + size + " are truncated"
	case "drop":
		return text + ", those of more than " + size + " are dropped"
	}
	return text + ", pieces of at most " + size
}

func joinText(c *control.ExplainedCapture) string {
	text := "a line that matches " + c.JoinStart + " begins a record"
	if c.JoinContinue != "" {
		text = "a line that matches " + c.JoinContinue + " belongs to the record before"
	}
	return fmt.Sprintf("%s, of %d lines at most; it is complete when none comes for %s", text, c.JoinLines, shortDuration(c.JoinWait))
}

func batchText(c *control.ExplainedCapture) string {
	var parts []string
	if c.BatchBytes > 0 {
		parts = append(parts, config.Size(c.BatchBytes).String())
	}
	if c.BatchRecords > 0 {
		parts = append(parts, strconv.Itoa(c.BatchRecords)+" records")
	}
	if len(parts) == 0 {
		return "complete records wait for company for " + shortDuration(c.BatchWait)
	}
	return "complete records wait until there are " + strings.Join(parts, " or ") + ", for " + shortDuration(c.BatchWait) + " at most"
}

func whenFull(c *control.ExplainedCapture) string {
	return map[string]string{
		"drop-oldest": "the oldest queued data makes room, counted",
		"drop-newest": "writes succeed, their data is dropped and counted",
		"block":       "writes wait for room, at most " + c.Block + ", then fail with ENOSPC",
		"local":       "written below the mount and sent later",
		"refuse":      "writes fail with ENOSPC",
	}[c.WhenFull]
}

func isNever(d string) bool { return d == "" || d == "0s" || d == "0" }

func orNever(d, prefix string) string {
	if isNever(d) {
		return "never"
	}
	return prefix + shortDuration(d)
}

// shortDuration writes a duration as configurations do.
func shortDuration(d string) string {
	if parsed, err := time.ParseDuration(d); err == nil {
		return config.FormatDuration(parsed)
	}
	return d
}

// printable makes a file name safe for a terminal, quoting it if need be.
func printable(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}
