package config

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

func (l *loader) bad(path, text, hint string) {
	l.problems = append(l.problems, Problem{Origin: l.report.place(path), Key: path, Text: text, Hint: hint})
}

func (l *loader) doubt(path, text, hint string) {
	l.problems = append(l.problems, Problem{Origin: l.report.place(path), Key: path, Text: text, Hint: hint, Warning: true})
}

func (l *loader) checkControl(c Control) {
	if len(c.Socket) > maxSocketPath {
		l.bad("control.socket", fmt.Sprintf("got %d bytes, want at most %d, the kernel's limit", len(c.Socket), maxSocketPath), "")
	}
	if c.Mode&0o007 != 0 {
		l.doubt("control.mode", fmt.Sprintf("%s lets every user of the machine give commands", c.Mode), "write 0660 and name a group")
	}
}

// checkMetrics keeps figures, paths and names from whoever else is in the network.
func (l *loader) checkMetrics(listen string, c Control) {
	network, address := Network(listen)
	switch {
	case listen == "":
	case !Local(listen):
		l.bad("metrics.listen", fmt.Sprintf("got %s, want a loopback address or a unix socket: there is neither encryption nor a password", quote(listen)),
			"write 127.0.0.1:PORT, or let systemd listen: a socket unit with FileDescriptorName=metrics")
	case network == "unix" && address == c.Socket:
		l.bad("metrics.listen", "got the control socket, want one of its own", "write unix:"+strings.TrimSuffix(c.Socket, ".sock")+"-metrics.sock")
	}
}

// within reports whether path is dir or lies below it.
func within(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// Local reports whether an address is reached from this machine only.
func Local(address string) bool {
	network, a := Network(address)
	if network == "unix" {
		return true
	}
	host, _, _ := net.SplitHostPort(a)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkBackoff judges the pause between attempts, which at names.
func (l *loader) checkBackoff(at string, b Backoff) {
	if b.Min > b.Max {
		l.bad(at, fmt.Sprintf("got min %s above max %s", FormatDuration(b.Min), FormatDuration(b.Max)), "")
	}
}

// destinations are what rules can name, with a word for it.
type destinations struct {
	names []string
	noun  string
}

// check wants every name of list to be one of d.
func (l *loader) checkNames(at string, list []string, d destinations) {
	for _, name := range list {
		if !slices.Contains(d.names, name) {
			l.bad(at, fmt.Sprintf("got %s, want the name of %s: %s", quote(name), d.noun, listNames(d.names)), didYouMean(name, d.names))
		}
	}
}

func nameOfMount(m Mount) string   { return m.Name }
func nameOfOutput(o Output) string { return o.Name }
func nameOfTarget(t Target) string { return t.Name }
func nameOfMember(m Member) string { return m.Name }

// hasWord reports whether word is one of words, which spaces separate.
func hasWord(words, word string) bool { return slices.Contains(strings.Fields(words), word) }

func names[T any](list []T, name func(T) string) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = name(e)
	}
	return out
}

func listNames(list []string) string {
	if len(list) == 0 {
		return "there is none"
	}
	return strings.Join(list, ", ")
}
