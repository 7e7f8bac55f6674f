package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
)

// human prints a record as one line.
func (v *tapView) human(r *control.TapRecord) { v.out.Write(v.append(v.out.AvailableBuffer(), r)) }

// append appends a record as one line.
func (v *tapView) append(dst []byte, r *control.TapRecord) []byte {
	at := r.Time
	if t, err := time.Parse(time.RFC3339Nano, at); err == nil {
		at = t.Local().Format("15:04:05.000")
	}
	who := []string{at}
	if v.role == config.RoleReceiver {
		who = append(who, safe([]byte(r.Host)))
	}
	if r.TapFile != nil {
		path := r.PathBase64
		if path == nil {
			path = []byte(r.Path)
		}
		who = append(who, safe(path))
	}
	if w := r.TapWriter; w != nil {
		comm := w.CommBase64
		if comm == nil {
			comm = []byte(w.Comm)
		}
		who = append(who, fmt.Sprintf("%s[%d]", safe(comm), w.PID))
	}
	head, text := strings.Join(who, " "), safe(r.Bytes())
	if r.Continues {
		text = "…" + text
	}
	if r.Continued {
		text += "…"
	}
	colour := dim
	if g := r.Gap; g != nil {
		text = fmt.Sprintf("missing, %s: %s, %d records", g.Reason, control.Bytes(g.Bytes), g.Records)
		colour = red
	}
	if v.o.width > 0 {
		head, text = cut(head, v.o.width), cut(text, max(0, v.o.width-utf8.RuneCountInString(head)-1))
	}
	if !v.plain {
		head = colour + head + reset
	}
	return append(append(dst, strings.TrimRight(head+" "+text, " ")...), '\n')
}

// cut shortens s to n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}

// safe makes bytes safe for a terminal: what does not print is shown as in a Go string. A tab stays.
func safe(p []byte) string {
	var b strings.Builder
	b.Grow(len(p))
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		switch {
		case r == '\t' || r != utf8.RuneError && unicode.IsPrint(r):
			b.Write(p[:n])
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, p[0])
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		p = p[n:]
	}
	return b.String()
}
