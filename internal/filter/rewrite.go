package filter

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// expansion is a rewrite text, parsed. Unlike regexp.Expand it does not read "$1x" as the group called 1x, which does
// not exist and expands to nothing: digits end at the first byte that is none.
type expansion struct {
	parts []expansionPart
	plain bool // no groups
}

// expansionPart is fixed text, then a group.
type expansionPart struct {
	text  string
	group int // -1: none
}

// parseExpansion reads text, whose groups re must have.
func parseExpansion(text string, re *regexp.Regexp) (*expansion, error) {
	e := &expansion{plain: true}
	fixed := ""
	for text != "" {
		before, rest, found := strings.Cut(text, "$")
		fixed += before
		if !found {
			break
		}
		if text = strings.TrimPrefix(rest, "$"); text != rest {
			fixed += "$"
			continue
		}
		group, rest, err := parseGroup(rest, re)
		if err != nil {
			return nil, err
		}
		e.parts = append(e.parts, expansionPart{fixed, group})
		e.plain, fixed, text = false, "", rest
	}
	if fixed != "" {
		e.parts = append(e.parts, expansionPart{fixed, -1})
	}
	return e, nil
}

// parseGroup reads what stands behind a $.
func parseGroup(text string, re *regexp.Regexp) (group int, rest string, err error) {
	name := text[:len(text)-len(strings.TrimLeft(text, "0123456789"))]
	rest = text[len(name):]
	if inner, ok := strings.CutPrefix(text, "{"); ok {
		if name, rest, ok = strings.Cut(inner, "}"); !ok {
			return 0, "", fmt.Errorf("got ${ without }")
		}
	}
	if name == "" {
		return 0, "", fmt.Errorf("got $ before %q, want $0 to $%d, ${name}, or $$ for a dollar", head(text), re.NumSubexp())
	}
	if n, err := strconv.Atoi(name); err == nil {
		if n < 0 || n > re.NumSubexp() {
			return 0, "", fmt.Errorf("got group %d, want 0 to %d, as match has groups", n, re.NumSubexp())
		}
		return n, rest, nil
	}
	n := re.SubexpIndex(name)
	if n < 0 {
		named := slices.DeleteFunc(slices.Clone(re.SubexpNames()), func(s string) bool { return s == "" })
		return 0, "", fmt.Errorf("got group %q, want one that match has: %s", name, orNone(named))
	}
	return n, rest, nil
}

func head(s string) string { return s[:min(len(s), 10)] }

func orNone(names []string) string {
	if len(names) == 0 {
		return "none has a name"
	}
	return strings.Join(names, ", ")
}

// append appends the expansion for the groups of src at the positions at, as FindSubmatchIndex gives them.
func (e *expansion) append(dst, src []byte, at []int) []byte {
	for _, p := range e.parts {
		dst = append(dst, p.text...)
		if p.group >= 0 && at[2*p.group] >= 0 {
			dst = append(dst, src[at[2*p.group]:at[2*p.group+1]]...)
		}
		if len(dst) > maxText {
			break // it is cut there: nothing behind it counts
		}
	}
	return dst
}
