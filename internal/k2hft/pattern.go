package k2hft

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

const maxPattern = 4096 // bytes; nobody writes more by hand

// expression is a POSIX extended regular expression as RE2 takes it.
type expression struct {
	re      string
	groups  int
	differs bool     // the two may choose different parts of a line, though they match the same lines
	notes   []string // what is read otherwise than the original reads it
}

// eachPattern are the errors of regcomp(3) that people can do something about.
var (
	errBackref = errors.New("a reference to a group within the pattern, which RE2 has not")
	errRepeat  = errors.New("a repetition of nothing")
	errBracket = errors.New("a [ that is not closed, or a bad range or class in it")
	errParen   = errors.New("a ( that is not closed")
	errBrace   = errors.New("a { that begins no {N,M}")
	errEnd     = errors.New(`a \ at the end`)
	errLong    = fmt.Errorf("more than %d bytes", maxPattern)
	errBytes   = errors.New("bytes that are not UTF-8")
)

// ereReader translates a pattern from left to right. It keeps where the last atom began, since a second repetition
// of one has to be put around the first: RE2 reads `a+?` as something else and refuses `a**`.
type ereReader struct {
	in    string
	out   []byte
	atom  int   // where the last atom begins in out; -1: there is none to repeat
	again bool  // the last atom is repeated already
	inner bool  // the last atom is a group with a repetition in it
	open  []ere // groups that are open
	alt   bool  // there is an alternation
	deep  bool  // there is a repetition of a repetition
	reps  int   // repetitions so far
	x     expression
}

type ere struct{ start, reps int }

// translateERE reads a POSIX extended regular expression, as glibc does with REG_EXTENDED and REG_NEWLINE, and
// writes it for RE2.
func translateERE(s string) (expression, error) {
	switch {
	case len(s) > maxPattern:
		return expression{}, errLong
	case !utf8.ValidString(s):
		return expression{}, errBytes
	}
	r := &ereReader{in: s, atom: -1}
	for i := 0; i < len(s); {
		n, err := r.step(s[i:])
		if err != nil {
			return expression{}, err
		}
		i += n
	}
	if len(r.open) > 0 {
		return expression{}, errParen
	}
	r.x.re, r.x.differs = string(r.out), r.alt || r.deep
	if _, err := regexp.Compile(r.x.re); err != nil {
		return expression{}, err
	}
	return r.x, nil
}

// step takes one item from the beginning of s and returns its length.
func (r *ereReader) step(s string) (int, error) {
	switch s[0] {
	case '\\':
		return r.escape(s)
	case '[':
		text, n, err := bracket(s)
		r.put(text)
		return n, err
	case '(':
		return r.group(s)
	case ')':
		return 1, r.close()
	case '|':
		r.out, r.atom, r.alt = append(r.out, '|'), -1, true
	case '^', '$':
		r.out, r.atom = append(r.out, s[0]), -1
	case '*', '+', '?':
		return 1, r.repeat(s[:1])
	case '{':
		text, n := interval(s)
		if n == 0 {
			return 0, errBrace
		}
		return n, r.repeat(text)
	case '.':
		r.put(".")
	default:
		_, n := utf8.DecodeRuneInString(s)
		r.put(regexp.QuoteMeta(s[:n]))
		return n, nil
	}
	return 1, nil
}

func (r *ereReader) put(atom string) {
	r.atom, r.again, r.inner = len(r.out), false, false
	r.out = append(r.out, atom...)
}

func (r *ereReader) repeat(op string) error {
	if r.atom < 0 {
		return errRepeat
	}
	if r.again {
		inner := string(r.out[r.atom:])
		r.out = append(r.out[:r.atom], "(?:"+inner+")"...)
	}
	r.deep = r.deep || r.again || r.inner
	r.out, r.again = append(r.out, op...), true
	r.reps++
	return nil
}

func (r *ereReader) group(s string) (int, error) {
	g := ere{start: len(r.out), reps: r.reps}
	if strings.HasPrefix(s, "(?:") {
		r.x.notes = append(r.x.notes, "(?: is no POSIX, and the original refuses it")
		r.open, r.out, r.atom = append(r.open, g), append(r.out, "(?:"...), -1
		return 3, nil
	}
	r.open, r.out, r.atom = append(r.open, g), append(r.out, '('), -1
	r.x.groups++
	return 1, nil
}

func (r *ereReader) close() error {
	n := len(r.open)
	if n == 0 {
		r.put(`\)`)
		return nil
	}
	g := r.open[n-1]
	r.open, r.out = r.open[:n-1], append(r.out, ')')
	r.atom, r.again, r.inner = g.start, false, r.reps > g.reps
	return nil
}

// escape takes a backslash and what follows. glibc knows some letters beside POSIX; of others it takes the letter
// itself, where people mean what Perl has.
func (r *ereReader) escape(s string) (int, error) {
	if len(s) == 1 {
		return 0, errEnd
	}
	_, n := utf8.DecodeRuneInString(s[1:])
	switch c := s[1]; {
	case '1' <= c && c <= '9':
		return 0, errBackref
	case strings.IndexByte("wWsS", c) >= 0:
		r.put(s[:2])
	case c == '<' || c == '>' || c == 'b':
		r.out, r.atom = append(r.out, `\b`...), -1
	case c == 'B':
		r.out, r.atom = append(r.out, `\B`...), -1
	case c == '`':
		r.out, r.atom = append(r.out, `\A`...), -1
	case c == '\'':
		r.out, r.atom = append(r.out, `\z`...), -1
	case strings.IndexByte("dDtnrfv", c) >= 0:
		r.x.notes = append(r.x.notes, fmt.Sprintf(`\%c has here the meaning that Perl gives it; the original reads the letter %c`, c, c))
		r.put(s[:2])
	default:
		r.put(regexp.QuoteMeta(s[1 : 1+n]))
	}
	return 1 + n, nil
}

// interval reads {N}, {N,}, {,M} or {N,M} and returns it with its length, 0 if it is none.
func interval(s string) (string, int) {
	end := strings.IndexByte(s, '}')
	if end < 0 {
		return "", 0
	}
	least, most, comma := strings.Cut(s[1:end], ",")
	if least == "" && comma {
		least = "0"
	}
	for _, n := range []string{least, most} {
		if _, err := strconv.ParseUint(n, 10, 15); err != nil && n != "" {
			return "", 0
		}
	}
	if least == "" {
		return "", 0
	}
	if comma {
		return "{" + least + "," + most + "}", end + 1
	}
	return "{" + least + "}", end + 1
}

// posixClasses are the names that stand in [[:name:]]; RE2 has the same.
var posixClasses = map[string]bool{
	"alnum": true, "alpha": true, "blank": true, "cntrl": true, "digit": true, "graph": true,
	"lower": true, "print": true, "punct": true, "space": true, "upper": true, "xdigit": true,
}

// bracket translates a bracket expression. In POSIX a backslash is an ordinary character there, and ] is one in the
// first place.
func bracket(s string) (string, int, error) {
	out, i := "[", 1
	if i < len(s) && s[i] == '^' {
		out, i = "[^", 2
	}
	for first := true; i < len(s); first = false {
		if s[i] == ']' && !first {
			return out + "]", i + 1, nil
		}
		if name, n := named(s[i:], ':'); n > 0 {
			if !posixClasses[name] {
				return "", 0, errBracket
			}
			out, i = out+"[:"+name+":]", i+n
			continue
		}
		low, n, err := member(s[i:])
		if err != nil {
			return "", 0, err
		}
		i += n
		out += quoteMember(low)
		if i+1 >= len(s) || s[i] != '-' || s[i+1] == ']' {
			continue
		}
		high, n, err := member(s[i+1:])
		if err != nil || high < low {
			return "", 0, errBracket
		}
		i += 1 + n
		out += "-" + quoteMember(high)
	}
	return "", 0, errBracket
}

// named reads [:name:], or with another mark [=x=] and [.x.].
func named(s string, mark byte) (string, int) {
	if len(s) < 4 || s[0] != '[' || s[1] != mark {
		return "", 0
	}
	end := strings.Index(s[2:], string(mark)+"]")
	if end < 0 {
		return "", 0
	}
	return s[2 : 2+end], end + 4
}

// member reads one character of a bracket expression.
func member(s string) (rune, int, error) {
	for _, mark := range []byte{'=', '.'} {
		if name, n := named(s, mark); n > 0 {
			c, size := utf8.DecodeRuneInString(name)
			if size == 0 || size != len(name) {
				return 0, 0, errBracket
			}
			return c, n, nil
		}
	}
	c, size := utf8.DecodeRuneInString(s)
	return c, size, nil
}

func quoteMember(c rune) string {
	if strings.ContainsRune(`\]^[-`, c) {
		return `\` + string(c)
	}
	return string(c)
}
