package k2hft

import (
	"fmt"
	"slices"
	"strings"
)

// exceptions are the prefixes of K2HTPDTOR_EXCEPT_KEY. A key is the path of a file below the mount.
type exceptions []exception

type exception struct {
	prefix string
	entry  *Entry
}

func (t *translator) exceptions() exceptions {
	var out exceptions
	for _, s := range t.src.all(secDtor) {
		for _, e := range s.every("K2HTPDTOR_EXCEPT_KEY") {
			prefix := unescapeKey(e.Text)
			if prefix == "" || !sayable(prefix) || strings.ContainsAny(prefix, "\x00") {
				t.report.add(Differs, e, "["+s.Name+"]", "left out: no path of a file begins with it")
				continue
			}
			out = append(out, exception{prefix, e})
			t.report.add(Translated, e, "["+s.Name+"]", "rules for paths that begin with "+prefix+" do not name the receivers")
		}
	}
	return out
}

// whole returns the entry that holds all files of a rule back, or nil.
func (x exceptions) whole(path string, dir bool) *Entry {
	if dir && path != "" {
		path += "/"
	}
	for _, one := range x {
		if strings.HasPrefix(path, one.prefix) {
			return one.entry
		}
	}
	return nil
}

// below returns those that hold some files of a directory's rule back.
func (x exceptions) below(path string, dir bool) []exception {
	var out []exception
	if path != "" {
		path += "/"
	}
	for _, one := range x {
		rest, ok := strings.CutPrefix(one.prefix, path)
		if dir && ok && rest != "" && !strings.Contains(rest, "/") && rest != "." && rest != ".." {
			out = append(out, one)
		}
	}
	return out
}

// exception makes the rule for those files of a directory's rule that are held back.
func (t *translator) exception(s *source, r rule, list []exception, names namer, all common) rule {
	r.name = names.name(r.name + "-except")
	r.match = nil
	for _, one := range list {
		if pattern := globOf(one.prefix) + "*"; !slices.Contains(r.match, pattern) {
			r.match = append(r.match, pattern)
		}
	}
	r.matchNote = fmt.Sprintf("not sent: %s", origin(list[0].entry))
	r.notes, r.targets = slices.Clone(r.notes), slices.Clone(r.targets)
	quiet := *t
	quiet.report = &Report{} // the rule that it comes from has reported the same
	quiet.finish(s, &r, all, true)
	return r
}

// unescapeKey reads the escapes of K2HTPDTOR_EXCEPT_KEY: \a to \v, \0NNN in octal, \0xHH in hexadecimal.
func unescapeKey(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if at := strings.IndexByte("abfnrtv", s[i]); at >= 0 {
			b.WriteByte("\a\b\f\n\r\t\v"[at])
			continue
		}
		if s[i] != '0' {
			b.WriteByte(s[i])
			continue
		}
		digits, base, most := s[i+1:], 8, 3
		if strings.HasPrefix(digits, "x") {
			digits, base, most = digits[1:], 16, 2
			i++
		}
		value, n := 0, 0
		for ; n < most && n < len(digits); n++ {
			d := strings.IndexByte("0123456789abcdef", digits[n]|0x20&^0x10)
			if '0' <= digits[n] && digits[n] <= '9' {
				d = int(digits[n] - '0')
			}
			if d < 0 || d >= base {
				break
			}
			value = value*base + d
		}
		i += n
		b.WriteByte(byte(value))
	}
	return b.String()
}
