package main

import (
	"fmt"
	"io"
	"strings"
)

// The exit codes, of those in mount(8).
const (
	exitOK     = 0
	exitUsage  = 1
	exitFailed = 32
)

var exitCodes = []struct {
	code int
	text string
}{
	{exitOK, "the mount is served (--repair: no dead mount is left)"},
	{exitUsage, "wrong command line, or not root"},
	{exitFailed, "not mounted, standard error says why (--repair: a dead mount is left)"},
}

// arguments are those of the command line besides names.
var arguments = []struct{ name, text string }{
	{"-o OPTIONS", "options, with commas between them"},
	{"-f", "check only, do not mount"},
	{"-s", "ignore unknown options"},
	{"-v", "say what was done"},
	{"-n, -t TYPE", "taken and ignored, as mount(8) gives them"},
	{"--repair", "replace every dead ftfuse mount by one that the sender serves"},
	{"--help, --version", "what they say"},
}

const description = `Mounts the directory WHERE, which the sender serves as the mount WHAT of its
sender.yaml. It returns when the mount is served; nothing is mounted if the
sender refuses it.`

// help prints what the manual page says at more length.
func help(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`usage: mount -t ftfuse WHAT WHERE [-o OPTIONS]
       mount.ftfuse WHAT WHERE [-fsnv] [-o OPTIONS] [-t TYPE]
       mount.ftfuse --repair [-v] [-o socket=PATH,timeout=TIME]

` + description + `

arguments:
`)
	for _, a := range arguments {
		fmt.Fprintf(&b, "  %-20s %s\n", a.name, a.text)
	}
	b.WriteString("\noptions:\n")
	for _, o := range own {
		fmt.Fprintf(&b, "  %-20s %s\n", o.name+o.value, o.text)
	}
	for _, f := range flags {
		fmt.Fprintf(&b, "  %-27s %s\n", f.name+" | "+f.opposite, f.text)
	}
	b.WriteString("  ignored: " + wrap(strings.Join(ignored, ", ")+", x-*", 11) + "\n\nexit codes:\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "  %-3d %s\n", e.code, e.text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap breaks a text at blanks into lines of at most 80 columns, the later ones indented.
func wrap(text string, indent int) string {
	var b strings.Builder
	column := indent
	for i, word := range strings.Fields(text) {
		switch {
		case i > 0 && column+1+len(word) > 80:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		case i > 0:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
