package format

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// unparse writes parts as a template: parse reads the same parts from it.
func unparse(parts []part) string {
	if len(parts) == 0 {
		return `""` // the empty template is %L
	}
	var b strings.Builder
	for i := range parts {
		if p := &parts[i]; p.field != literal {
			b.WriteString(p.source)
		} else {
			printText(&b, string(p.text))
		}
	}
	return b.String()
}

var printed = strings.NewReplacer("%", "%%", "{", "{{", `\`, `\\`, `"`, `\"`, "\a", `\a`, "\b", `\b`, "\f", `\f`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

func printText(b *strings.Builder, text string) {
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		switch one := text[:n]; {
		case r == utf8.RuneError && n == 1, printed.Replace(one) == one && (r < ' ' || r == 0x7f):
			fmt.Fprintf(b, `\x%02X`, one[0])
		default:
			b.WriteString(printed.Replace(one))
		}
		text = text[n:]
	}
}

// nearest returns the name in braces that is most like word, or "" when none is.
func nearest(word string) string {
	word = strings.ToLower(strings.TrimSpace(word))
	best, least := "", max(1, len(word)/3)+1
	for _, k := range names {
		if d := distance(word, k.name); d < least {
			best, least = k.name, d
		}
	}
	return best
}

// distance is how many bytes have to be put in, taken out, replaced or swapped with a neighbour to make b of a.
func distance(a, b string) int {
	d := make([][]int, len(a)+1) // of the first i bytes of a and the first j of b
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = 1 + min(d[i-1][j-1], d[i-1][j], d[i][j-1])
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					d[i][j] = min(d[i][j], 1+d[i-2][j-2])
				}
			}
		}
	}
	return d[len(a)][len(b)]
}
