package k2hft

import (
	"fmt"
	"strings"
)

// replacement translates what a line becomes: $0 to $9 and & are groups, a backslash takes the next character as it is.
// groups is how many the pattern has. whole says that it is $0 and nothing else, uses that it has a group at all.
func replacement(s string, groups int) (out string, whole bool, notes []string) {
	var b strings.Builder
	parts := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		parts++
		switch {
		case c == '\\':
			if i++; i < len(s) && s[i] != '\n' && s[i] != '\r' {
				b.WriteString(dollars(s[i]))
			}
		case c == '&':
			b.WriteString(reference(0, s[i+1:]))
			whole = parts == 1
		case c == '$' && i+1 < len(s) && '0' <= s[i+1] && s[i+1] <= '9':
			i++
			n := int(s[i] - '0')
			if i+1 < len(s) && '0' <= s[i+1] && s[i+1] <= '9' {
				notes = append(notes, fmt.Sprintf("$%d is followed by a digit, which the original refuses: group %d and then the digit", n, n))
			}
			if n > groups {
				notes = append(notes, fmt.Sprintf("there is no group %d: nothing stands there, as in the original", n))
				continue
			}
			b.WriteString(reference(n, s[i+1:]))
			whole = n == 0 && parts == 1
		case c == '$':
			notes = append(notes, "a $ without a digit, which the original refuses, stands for itself")
			b.WriteString("$$")
		case c == '\n' || c == '\r':
			notes = append(notes, "a line end in the replacement, which would make two lines of one, is left out")
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), whole && parts == 1, notes
}

func dollars(c byte) string {
	if c == '$' {
		return "$$"
	}
	return string([]byte{c})
}

// reference writes $N, with braces where the next character would belong to the name.
func reference(n int, next string) string {
	if next != "" {
		if c := next[0]; c == '_' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' {
			return fmt.Sprintf("${%d}", n)
		}
	}
	return fmt.Sprintf("$%d", n)
}

// filter is one of ours, from an ALLOW or a DENY.
type filter struct {
	action   string
	contains string
	match    string
	rewrite  string // with hasRewrite
	changes  bool
	comment  string
}

// everything reports whether an entry matches each line.
func everything(e *Entry) bool { return len(e.Parts) == 0 || e.Parts[0].Text == "" }

// isPattern reports whether a part is meant as a pattern.
func isPattern(p Part) bool {
	return p.Inner || p.Quoted && strings.ContainsAny(p.Text, `()[]{}*+?|^$.\`) && !oneBracket(p.Text)
}

// oneBracket reports whether s is one bracket expression of letters and nothing else, such as [error].
func oneBracket(s string) bool {
	if len(s) < 5 || s[0] != '[' || s[len(s)-1] != ']' {
		return false
	}
	for _, c := range []byte(s[1 : len(s)-1]) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && c != '_' && c != ' ' {
			return false
		}
	}
	return true
}

// newFilter translates one ALLOW or DENY that does not match everything. notes say where ours differs.
func newFilter(e *Entry) (f filter, notes []string, err error) {
	f.action = strings.ToLower(e.Key)
	pattern := e.Parts[0]
	if !sayable(pattern.Text) {
		return f, nil, errBytes
	}
	if len(e.Parts) > 2 {
		return f, nil, fmt.Errorf("%d values, want a pattern and a replacement", len(e.Parts))
	}
	replace := ""
	if len(e.Parts) == 2 {
		replace = e.Parts[1].Text
	}
	plain := !isPattern(pattern)
	switch {
	case plain && strings.ContainsAny(pattern.Text, `()[]{}*+?|^$\`):
		notes = append(notes, "it is a text to look for, as in the original, though it has characters of a pattern; for one write match in the place of contains")
	case !pattern.Inner && !plain:
		notes = append(notes, "it is a pattern, as documented; the original's reader takes the quotes off and looks for it as a text, which never matches")
	}
	if plain && (!pattern.Quoted || replace == "") {
		f.contains = pattern.Text
		if replace != "" {
			notes = append(notes, "the replacement of a text is ignored, as in the original")
		}
		return f, notes, nil
	}
	x, err := translateERE(pattern.Text)
	if err != nil {
		return f, nil, err
	}
	f.match = x.re
	notes = append(notes, x.notes...)
	return f.withReplacement(x, pattern.Text, replace, notes)
}

func (f filter) withReplacement(x expression, pattern, replace string, notes []string) (filter, []string, error) {
	full := strings.HasPrefix(strings.TrimLeft(pattern, "^("), ".*") && strings.HasSuffix(strings.TrimRight(pattern, "$)"), ".*")
	switch {
	case f.action == "deny" && replace != "":
		return f, append(notes, "a replacement in DENY is ignored, as in the original"), nil
	case f.action == "deny":
		return f, notes, nil
	case replace == "" && !full:
		return f, append(notes, `the line passes as it is; the original lets only the part that matches pass, for which write rewrite: "$0"`), nil
	case replace == "":
		return f, notes, nil
	case !sayable(replace):
		return f, nil, errBytes
	}
	var more []string
	var whole bool
	f.rewrite, whole, more = replacement(replace, x.groups)
	notes = append(notes, more...)
	if f.rewrite == "" {
		return f, append(notes, "the line passes as it is: ours is never rewritten to nothing"), nil
	}
	f.changes = true
	if x.differs && !(whole && full) {
		notes = append(notes, "with alternatives or repeated repetitions the original chooses the longest match and RE2 the first: look at what it rewrites")
	}
	return f, notes, nil
}
