package format

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A template is parsed from left to right. %X is one of the letters below, and %% a percent sign; {NAME} is one of the
// names below or {field.NAME}, and {{ a brace (a closing brace always stands for itself); a backslash begins an escape;
// every other byte stands for itself. The original knows no braces: with Lenient they stand for themselves, as
// unknown letters do. A template that begins with a double quote ends at its last one.

var letters = map[byte]field{
	'L': fieldLine, 'l': fieldTrimmed, 'T': fieldClockTime, 't': fieldClockTime, 'H': fieldHost, 'h': fieldHost, 'P': fieldTid, 'p': fieldTid, 'F': fieldPath, 'f': fieldName,
}

const knownLetters = "%L %l %H %P %F %f %T %%"

// names are the fields in braces, in the order that people are told them.
var names = []struct {
	name string
	field
}{
	{"host", fieldHost}, {"path", fieldPath}, {"name", fieldName}, {"dir", fieldDir}, {"mount", fieldMount}, {"rule", fieldRule}, {"time", fieldNamedTime},
	{"seq", fieldSeq}, {"pid", fieldPid}, {"tid", fieldTid}, {"uid", fieldUid}, {"gid", fieldGid}, {"comm", fieldComm}, {"exe", fieldExe}, {"unit", fieldUnit},
	{"container", fieldContainer}, {"sender", fieldSender}, {"data", fieldData}, {"line", fieldLine},
}

const fieldPrefix = "field."

type parser struct {
	lenient bool
	parts   []part
	unknown []string // letters, each once, where lenient
}

// Unknown lists the letters of a template of K2HFTFUSE that it does not know, each as %X and once. Such a letter
// stands for itself there, and is an error to New unless Options.Lenient.
func Unknown(template string) []string {
	p := parser{lenient: true}
	p.parse(template) // nothing is an error where lenient
	return p.unknown
}

// Translate returns the template that renders as K2HFTFUSE renders the given one: unknown letters and braces are
// written as text. New takes it without Lenient.
func Translate(template string) string {
	p := parser{lenient: true}
	p.parse(template)
	return unparse(p.parts)
}

func parse(form string, lenient bool) ([]part, error) {
	p := parser{lenient: lenient}
	if err := p.parse(form); err != nil {
		return nil, fmt.Errorf("template %q: %w", form, err)
	}
	return p.parts, nil
}

func (p *parser) parse(form string) error {
	if form == "" {
		form = "%L"
	}
	form = unquote(form)
	for i := 0; i < len(form); i++ {
		switch c := form[i]; {
		case c == '%' && i+1 == len(form): // dropped, as in the original
		case c == '%':
			i++
			if err := p.letter(form[i:]); err != nil {
				return err
			}
		case c == '\\':
			n, end := p.escape(form[i+1:])
			if end {
				return nil
			}
			i += n
		case c == '{' && !p.lenient:
			n, err := p.brace(form[i:])
			if err != nil {
				return err
			}
			i += n - 1
		default:
			p.literal(c)
		}
	}
	return nil
}

// unquote takes off a double quote in front and what follows the last one.
func unquote(s string) string {
	if !strings.HasPrefix(s, `"`) {
		return s
	}
	s = s[1:]
	if i := strings.LastIndexByte(s, '"'); i >= 0 {
		s = s[:i]
	}
	return s
}

func (p *parser) literal(c byte) {
	if n := len(p.parts); n > 0 && p.parts[n-1].field == literal {
		p.parts[n-1].text = append(p.parts[n-1].text, c)
		return
	}
	p.parts = append(p.parts, part{field: literal, text: []byte{c}})
}

// letter takes the field at the beginning of s, of which one byte is its letter.
func (p *parser) letter(s string) error {
	c := s[0]
	f, known := letters[c]
	_, n := utf8.DecodeRuneInString(s)
	switch source := "%" + s[:n]; {
	case known:
		p.parts = append(p.parts, part{field: f, source: source})
	case c == '%':
		p.literal(c)
	case !p.lenient:
		return fmt.Errorf("%s is not known: want one of %s, or a name in braces: %s", source, knownLetters, nameList())
	default:
		if !slices.Contains(p.unknown, source) {
			p.unknown = append(p.unknown, source)
		}
		p.literal(c)
	}
	return nil
}

// brace takes a field in braces from the beginning of s and returns how long it is.
func (p *parser) brace(s string) (int, error) {
	if strings.HasPrefix(s, "{{") {
		p.literal('{')
		return 2, nil
	}
	n := strings.IndexByte(s, '}')
	if n < 0 {
		return 0, errors.New("a { is not closed: {{ stands for a brace")
	}
	word := s[1:n]
	one := part{source: s[:n+1]}
	if field, ok := strings.CutPrefix(word, fieldPrefix); ok && field != "" {
		one.field, one.name = fieldOfRecord, field
		p.parts = append(p.parts, one)
		return n + 1, nil
	}
	for _, k := range names {
		if k.name == word {
			one.field = k.field
			p.parts = append(p.parts, one)
			return n + 1, nil
		}
	}
	hint := ""
	if like := nearest(word); like != "" {
		hint = "did you mean {" + like + "}? "
	}
	return 0, fmt.Errorf("%s is not known: %swant one of %s, or {{ for a brace", s[:n+1], hint, nameList())
}

func nameList() string {
	var b strings.Builder
	for _, k := range names {
		b.WriteString("{" + k.name + "} ")
	}
	return b.String() + "{" + fieldPrefix + "NAME}"
}

var escapes = map[byte]byte{'\\': '\\', '"': '"', '\'': '\'', '?': '?', 'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape takes what follows a backslash; it returns the bytes used and whether the format ends here. As in the
// original, an unknown escape prints nothing, \0 and a backslash at the end end the format.
func (p *parser) escape(s string) (int, bool) {
	if s == "" || s[0] == '0' {
		return 0, true
	}
	if c, ok := escapes[s[0]]; ok {
		p.literal(c)
		return 1, false
	}
	switch {
	case '1' <= s[0] && s[0] <= '8':
		p.literal(s[0] - '0')
	case s[0] == 'x' && len(s) == 1:
		return 0, true
	case s[0] == 'x' && !isHex(s[1]):
		return 2, false
	case s[0] == 'x':
		n := 2
		if len(s) > 2 && isHex(s[2]) {
			n = 3
		}
		v, _ := strconv.ParseUint(s[1:n], 16, 8)
		p.literal(byte(v))
		return n, false
	}
	return 1, false
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
