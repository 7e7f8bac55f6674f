package main

import (
	"fmt"
	"io"
	"strings"
)

// manual prints the page mount.ftfuse(8) in Markdown, without the title line.
func manual(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# NAME

mount.ftfuse - mount a directory that the ftfuse sender serves

# SYNOPSIS

**mount -t ftfuse** *WHAT* *WHERE* [**-o** *OPTIONS*]

**mount.ftfuse** *WHAT* *WHERE* [**-fsnv**] [**-o** *OPTIONS*] [**-t** *TYPE*]

**mount.ftfuse --repair** [**-v**] [**-o** *OPTIONS*]

# DESCRIPTION

`)
	b.WriteString(description + "\n\n")
	b.WriteString(`The usual way is a .mount unit, as **ftfuse mount-unit** prints it, or a line in
/etc/fstab, as it prints with **--fstab**. Types **ftfuse** and **fuse.ftfuse** are the same.

# ARGUMENTS

`)
	for _, a := range arguments {
		define(&b, a.name, a.text)
	}
	b.WriteString("# OPTIONS\n\n")
	for _, o := range own {
		define(&b, o.name+o.value, o.text)
	}
	for _, f := range flags {
		define(&b, f.name+" | "+f.opposite, f.text)
	}
	define(&b, strings.Join(ignored, ", ")+", x-*", "ignored: they say how it is anyway, or others read them")
	b.WriteString("# EXIT STATUS\n\n")
	for _, e := range exitCodes {
		define(&b, fmt.Sprint(e.code), e.text)
	}
	rest(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// rest writes what follows the tables.
func rest(b *strings.Builder) {
	b.WriteString("# FILES\n\n")
	define(b, defaultSocket, "where the sender takes mounts, from root only")
	define(b, "/etc/ftfuse/sender.yaml", "the sender's configuration, which says what may be mounted where")
	b.WriteString(`# EXAMPLES

` + "```" + `
mount -t ftfuse log /var/log/ftfuse
` + "```" + `

In /etc/fstab:

` + "```" + `
log /var/log/ftfuse fuse.ftfuse nodev,nosuid,noexec,_netdev,nofail,x-systemd.requires=ftfuse-sender.socket,x-systemd.after=ftfuse-sender.service 0 0
` + "```" + `

# SEE ALSO

**ftfuse**(1), **ftfuse-sender.yaml**(5), **mount**(8), **systemd.mount**(5)
`)
}

func define(b *strings.Builder, term, text string) {
	fmt.Fprintf(b, "`%s`\n:   %s\n\n", term, text)
}
