package k2hft

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Note is what became of one key, or what is to be known besides.
type Note struct {
	Kind Kind
	Key  string // as `TRUNS of any/log`; "" when no key is meant
	Place
	Text string
}

// Report is what a translation did.
type Report struct {
	Notes []Note
	done  map[*Entry]bool // entries that have a note
}

// titles are the groups of a report.
var titles = [...]string{
	Translated: "translated",
	Differs:    "works, but differs",
	None:       "has no counterpart",
	Unknown:    "not known",
}

// Count returns how many notes of a kind there are.
func (r *Report) Count(k Kind) int {
	n := 0
	for _, note := range r.Notes {
		if note.Kind == k {
			n++
		}
	}
	return n
}

// add notes something about an entry. owner says whose it is, as people would.
func (r *Report) add(kind Kind, e *Entry, owner, text string) {
	r.mark(e)
	r.Notes = append(r.Notes, Note{Kind: kind, Key: e.Key + " of " + owner, Place: e.Place, Text: text})
}

// say notes something that is no key's.
func (r *Report) say(kind Kind, text string) {
	r.Notes = append(r.Notes, Note{Kind: kind, Text: text})
}

func (r *Report) mark(e *Entry) {
	if r.done == nil {
		r.done = map[*Entry]bool{}
	}
	r.done[e] = true
}

// rest gives every entry a note that has none yet, from the table of keys.
func (r *Report) rest(c *Config) {
	for i := range c.Stray {
		e := &c.Stray[i]
		r.Notes = append(r.Notes, Note{Kind: Unknown, Key: e.Key, Place: e.Place, Text: "stands in no section"})
	}
	for _, s := range c.Sections {
		if !known(s.Name) {
			r.Notes = append(r.Notes, Note{Kind: Unknown, Key: "[" + s.Name + "]", Place: s.Place, Text: "is no section of K2HFTFUSE or chmpx"})
			continue
		}
		for i := range s.Entries {
			e := &s.Entries[i]
			if r.done[e] {
				continue
			}
			owner := "[" + s.Name + "]"
			key, ok := lookup(s.Name, e.Key)
			switch {
			case !ok:
				r.add(Unknown, e, owner, "is no key of this section, and the original skips it")
			case s.last(e.Key) != e:
				r.add(Translated, e, owner, whySameName)
			case key.Kind == Translated:
				r.add(None, e, owner, "says nothing here: this file is translated for what else it has")
			default:
				r.add(key.Kind, e, owner, key.Why)
			}
		}
	}
}

// Write prints the report: what became of the keys, by kind, by file, and in the order of lines.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	for kind, title := range titles {
		groups := r.grouped(Kind(kind))
		if len(groups) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s:\n", title)
		file := ""
		for _, g := range groups {
			if f := g[0].File; f != file {
				file = f
				fmt.Fprintf(&b, "  %s\n", printable(file))
			}
			indent := map[bool]string{true: "  ", false: "    "}[file == ""]
			for _, line := range wrap(g.String(), 78-len(indent)) {
				b.WriteString(indent + line + "\n")
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// group is what several notes of one kind and one file say in the same words.
type group []Note

// grouped returns the groups of a kind, those without a file first.
func (r *Report) grouped(k Kind) []group {
	var out []group
	for _, n := range r.Notes {
		if n.Kind != k {
			continue
		}
		same := func(g group) bool { return n.Key != "" && g[0].Key != "" && g[0].Text == n.Text && g[0].File == n.File }
		if i := slices.IndexFunc(out, same); i >= 0 {
			out[i] = append(out[i], n)
			continue
		}
		out = append(out, group{n})
	}
	slices.SortStableFunc(out, func(a, b group) int {
		return cmp.Or(cmp.Compare(a[0].File, b[0].File), cmp.Compare(a[0].Line, b[0].Line))
	})
	return out
}

// String lists the keys of a group, each with its lines and with those that it belongs to, and then what they share.
func (g group) String() string {
	if g[0].Key == "" {
		return g[0].Text
	}
	var order []string
	owners, lines := map[string][]string{}, map[string][]string{}
	for _, n := range g {
		key, owner, _ := strings.Cut(n.Key, " of ")
		if owners[key] == nil {
			order = append(order, key)
		}
		if !slices.Contains(owners[key], owner) {
			owners[key] = append(owners[key], owner)
		}
		if n.Line > 0 {
			lines[key] = append(lines[key], fmt.Sprint(n.Line))
		}
	}
	out := ""
	for i, key := range order {
		if i > 0 {
			out += ", "
		}
		if len(lines[key]) > 0 {
			out += strings.Join(lines[key], ",") + " "
		}
		out += key
		last := i == len(order)-1 || !slices.Equal(owners[key], owners[order[i+1]])
		if of := strings.Join(owners[key], ", "); of != "" && last {
			out += " of " + of
		}
	}
	return out + ": " + g[0].Text
}

// wrap breaks a text at blanks into lines of at most width columns, and indents those after the first.
func wrap(text string, width int) []string {
	var out []string
	line := ""
	for _, w := range strings.Fields(printable(text)) {
		if line != "" && len(line)+1+len(w) > width {
			out, line = append(out, line), " "
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	return append(out, line)
}

// printable replaces what would break a line or a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			return r
		}
		return '?'
	}, s)
}
