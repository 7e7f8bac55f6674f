package k2hft

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// page is YAML on its way out: lines with their comments.
type page struct{ strings.Builder }

// line writes one line and the comment behind it.
func (p *page) line(indent int, text, comment string) {
	p.WriteString(strings.Repeat(" ", indent) + text)
	if comment != "" {
		gap := max(32-indent-len(text), 2)
		p.WriteString(strings.Repeat(" ", gap) + "# " + printable(comment))
	}
	p.WriteByte('\n')
}

// note writes a comment of its own, in lines of at most 100 columns.
func (p *page) note(indent int, text string) {
	if text == "" {
		return
	}
	line := ""
	flush := func() { p.WriteString(strings.Repeat(" ", indent) + "#" + line + "\n"); line = "" }
	for _, w := range strings.Fields(printable(text)) {
		if line != "" && indent+len(line)+len(w) > 98 {
			flush()
		}
		line += " " + w
	}
	flush()
}

func (p *page) gap() { p.WriteByte('\n') }

var (
	plainScalar = regexp.MustCompile(`^(-{0,2}[A-Za-z/_][A-Za-z0-9/_.+=-]*(:[A-Za-z0-9/_.+-]+)*|[0-9]+(\.[0-9]+){3}:[0-9]+)$`)
	wordScalar  = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null|nan|inf)$`)
)

// scalar writes a text so that YAML reads the same: plain where that is safe, in single quotes where it has
// backslashes or double quotes, else in double quotes. Bytes that are not UTF-8 cannot be said; see sayable.
func scalar(s string) string {
	if plainScalar.MatchString(s) && !wordScalar.MatchString(s) {
		return s
	}
	clean := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
	if clean && strings.ContainsAny(s, `\"`) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\n':
			b.WriteString(`\n`)
		case r < 0x100 && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// list writes texts as a YAML list in one line. Patterns are always in quotes.
func list(texts []string) string {
	var out []string
	for _, t := range texts {
		out = append(out, scalar(t))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// sayable reports whether YAML can carry a text.
func sayable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }
