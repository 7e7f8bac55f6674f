package main

import (
	"regexp"
	"strings"
)

var link = regexp.MustCompile(`\[([^\]]+)\]\([^)]+\)`)

// plain takes from Markdown what a terminal shows badly: links, of which the text stays, and tables, which become lists
// with the first column as terms.
func plain(text string) string {
	var b strings.Builder
	var header []string
	for line := range strings.Lines(link.ReplaceAllString(text, "$1")) {
		row, isRow := cells(line)
		switch {
		case !isRow:
			header = nil
			b.WriteString(line)
		case header == nil:
			header = row
		case strings.Trim(strings.Join(row, ""), "-: ") == "": // the line below the header
		default:
			b.WriteString(entry(header, row))
		}
	}
	return b.String()
}

func cells(line string) ([]string, bool) {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") || !strings.HasSuffix(line, "|") {
		return nil, false
	}
	row := strings.Split(strings.Trim(line, "|"), "|")
	for i := range row {
		row[i] = strings.TrimSpace(row[i])
	}
	return row, true
}

// entry makes a row an entry of a list, with a default behind its term.
func entry(header, row []string) string {
	term, text := row[0], ""
	for i, cell := range row[1:] {
		switch {
		case i+1 >= len(header) || header[i+1] != "default":
			text = strings.TrimSpace(text + " " + cell)
		case cell == "required":
			term += " (required)"
		case cell != "":
			term += " (default " + cell + ")"
		}
	}
	if text == "" {
		return term + "\n\n"
	}
	return term + "\n:   " + text + "\n\n"
}
