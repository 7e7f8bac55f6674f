package control

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Style says how the tables are printed.
type Style struct {
	Width  int // columns; longer lines are cut; 0: as long as they are
	Colour bool
}

type colour string

const (
	noColour colour = ""
	bold     colour = "\x1b[1m"
	dim      colour = "\x1b[2m"
	red      colour = "\x1b[31m"
	green    colour = "\x1b[32m"
	yellow   colour = "\x1b[33m"
)

type cell struct {
	text   string
	colour colour
}

// table is printed with columns as wide as their widest cell.
type table struct {
	head []string // a leading > aligns the column to the right
	rows [][]cell // a row of one cell is a note: it stands outside of the columns
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

// note adds a line below the last row.
func (t *table) note(c colour, text string) { t.add(cell{"  " + text, c}) }

// printer gathers lines and cuts them to the width.
type printer struct {
	Style
	out strings.Builder
}

func (p *printer) flush(w io.Writer) error {
	_, err := io.WriteString(w, p.out.String())
	return err
}

// line prints cells one after the other.
func (p *printer) line(cells ...cell) {
	room := p.Width
	for _, c := range cells {
		text := c.text
		if n := utf8.RuneCountInString(text); p.Width > 0 && n > room {
			text = cut(text, room)
		}
		room -= utf8.RuneCountInString(text)
		if p.Colour && c.colour != noColour && text != "" {
			text = string(c.colour) + text + "\x1b[0m"
		}
		p.out.WriteString(text)
	}
	p.out.WriteByte('\n')
}

// cut shortens s to n characters, the last one an ellipsis.
func cut(s string, n int) string {
	if n <= 0 {
		return ""
	}
	r := []rune(s)
	return string(r[:n-1]) + "…"
}

// columns returns how wide each one is.
func (t *table) columns() []int {
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = utf8.RuneCountInString(strings.TrimPrefix(h, ">"))
		for _, row := range t.rows {
			if len(row) > 1 || len(t.head) == 1 {
				widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
			}
		}
	}
	return widths
}

// width returns how long the lines of the columns are, two spaces between them.
func (t *table) width() int {
	sum := 2 * (len(t.head) - 1)
	for _, w := range t.columns() {
		sum += w
	}
	return sum
}

func (p *printer) table(t *table) {
	widths := t.columns()
	right := make([]bool, len(t.head))
	head := make([]cell, len(t.head))
	for i, h := range t.head {
		h, right[i] = strings.CutPrefix(h, ">")
		head[i] = cell{h, bold}
	}
	for _, row := range append([][]cell{head}, t.rows...) {
		if len(row) == 1 && len(t.head) > 1 {
			for _, text := range wrap(row[0].text, p.Width) {
				p.line(cell{text, row[0].colour})
			}
			continue
		}
		p.line(pad(row, widths, right)...)
	}
}

// wrap breaks a note between words into lines of at most n characters, the further ones indented; 0: as it is.
func wrap(note string, n int) []string {
	if n <= 0 || utf8.RuneCountInString(note) <= n {
		return []string{note}
	}
	var lines []string
	line := " " // notes are indented by two
	for _, word := range strings.Fields(note) {
		if utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > n && strings.TrimSpace(line) != "" {
			lines, line = append(lines, line), "   "
		}
		line += " " + word
	}
	return append(lines, line)
}

func pad(row []cell, widths []int, right []bool) []cell {
	out := make([]cell, 0, 2*len(row))
	for i, c := range row {
		gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
		switch {
		case right[i]:
			out = append(out, cell{gap, noColour}, c)
		case i == len(row)-1:
			out = append(out, c)
		default:
			out = append(out, c, cell{gap, noColour})
		}
		if i < len(row)-1 {
			out = append(out, cell{"  ", noColour})
		}
	}
	return out
}
