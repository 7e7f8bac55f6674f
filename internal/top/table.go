package top

import (
	"strings"
	"unicode/utf8"
)

// Look is how a piece of text stands out. What it means in colours is Run's affair.
type Look uint8

// The looks.
const (
	Plain Look = iota
	Bold
	Dim
	Head // of a table
	Good
	Warn
	Bad
)

// Span is a text in one look.
type Span struct {
	Text string
	Look Look
}

// Line is one line of the screen.
type Line []Span

// width counts characters.
func width(s string) int { return utf8.RuneCountInString(s) }

// cut shortens s to n characters, the last one saying so.
func (m *Model) cut(s string, n int) string {
	if width(s) <= n {
		return s
	}
	if n <= 0 {
		return ""
	}
	mark := "…"
	if m.ASCII {
		mark = "~"
	}
	return string([]rune(s)[:n-1]) + mark
}

// cutLine shortens a line to n characters.
func (m *Model) cutLine(l Line, n int) Line {
	var out Line
	for _, s := range l {
		s.Text = m.cut(s.Text, n)
		n -= width(s.Text)
		out = append(out, s)
	}
	return out
}

// column is one column of a table.
type column struct {
	head  string
	right bool // aligned
	least int  // characters: what changes all the time should not move its neighbours
	spare int  // where lines are too long, columns with higher numbers go first; 0: never
}

// table has one Span for each column in each row. The first column is cut where the others leave it too little; so is
// the last one, if it is not aligned to the right.
type table struct {
	columns []column
	rows    [][]Span
	none    string // stands for no rows
}

// wide reports whether all columns take more than n characters.
func (t *table) wide(n int) bool {
	sum := -2
	for i, c := range t.columns {
		w := max(c.least, width(c.head))
		for _, r := range t.rows {
			w = max(w, width(r[i].Text))
		}
		sum += w + 2
	}
	return sum > n
}

const leastFirst = 12 // characters that the first column is left before others go

// layout returns which columns are shown, and how wide.
func (t *table) layout(n int) (shown, widths []int) {
	widths = make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = max(c.least, width(c.head))
		for _, r := range t.rows {
			widths[i] = max(widths[i], width(r[i].Text))
		}
		shown = append(shown, i)
	}
	for {
		sum, worst := -2, -1
		for k, i := range shown {
			sum += widths[i] + 2
			if k > 0 && t.columns[i].spare > 0 && (worst < 0 || t.columns[i].spare > t.columns[shown[worst]].spare) {
				worst = k
			}
		}
		over := sum - n
		last := shown[len(shown)-1]
		if over > 0 && last > 0 && !t.columns[last].right { // an address or a path
			give := min(over, max(0, widths[last]-leastFirst))
			widths[last] -= give
			over -= give
		}
		if over <= 0 {
			return shown, widths
		}
		if worst < 0 {
			widths[0] = max(min(4, widths[0]), widths[0]-over)
			return shown, widths
		}
		if widths[0]-over >= min(leastFirst, widths[0]) {
			widths[0] -= over
			return shown, widths
		}
		shown = append(shown[:worst:worst], shown[worst+1:]...)
	}
}

// lines returns the head and the rows from first on, at most so many of both, at most n characters wide. What does not fit
// is said in the last line.
func (m *Model) lines(t *table, first, most, n int) []Line {
	if most <= 0 {
		return nil
	}
	shown, widths := t.layout(n)
	head := make([]Span, len(t.columns))
	for i, c := range t.columns {
		head[i] = Span{c.head, Head}
	}
	out := []Line{m.row(t, head, shown, widths, n, Head)}
	if len(t.rows) == 0 {
		out = append(out, m.cutLine(Line{{t.none, Dim}}, n))
		return out[:min(most, len(out))]
	}
	rows := t.rows[min(first, len(t.rows)):]
	room := most - 1
	say := len(rows) > room && room > 1
	if say {
		room--
	}
	for _, r := range rows[:min(room, len(rows))] {
		out = append(out, m.row(t, r, shown, widths, n, Plain))
	}
	if say {
		out = append(out, m.cutLine(Line{{plural(len(rows)-room, "more row"), Dim}}, n))
	}
	return out
}

func (m *Model) row(t *table, r []Span, shown, widths []int, n int, gaps Look) Line {
	var l Line
	for k, i := range shown {
		s := Span{m.cut(r[i].Text, widths[i]), r[i].Look}
		gap := strings.Repeat(" ", widths[i]-width(s.Text))
		if k > 0 {
			l = append(l, Span{"  ", gaps})
		}
		switch {
		case t.columns[i].right:
			l = append(l, Span{gap, gaps}, s)
		case k == len(shown)-1 && gaps == Plain:
			l = append(l, s)
		default:
			l = append(l, s, Span{gap, gaps})
		}
	}
	return m.cutLine(l, n)
}

// share gives each table its lines: all that it needs, or, where there is too little room, what the longest ones
// leave to the shorter ones. Where not even a row of each fits, the last tables get nothing. The lines between them are
// not counted.
func share(tables []*table, room int) []int {
	need := make([]int, len(tables))
	sum := 0
	for i, t := range tables[:min(len(tables), max(0, room/2))] {
		need[i] = 1 + max(1, len(t.rows))
		sum += need[i]
	}
	for ; sum > room; sum-- {
		longest := 0
		for i := range need {
			if need[i] >= need[longest] { // among equals the later one
				longest = i
			}
		}
		need[longest]--
	}
	return need
}
