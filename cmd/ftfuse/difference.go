package main

import "strings"

// maxCompared bounds the work of difference: the product of the numbers of lines that differ.
const maxCompared = 1 << 22

// difference compares two texts line by line: what both have with a blank before it, what only want has with a -, what
// only got has with a +.
func difference(want, got string) (lines []string) {
	a, b := splitLines(want), splitLines(got)
	add := func(sign string, list []string) {
		for _, l := range list {
			lines = append(lines, sign+" "+display(l))
		}
	}
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	add(" ", a[:head])
	x, y := a[head:len(a)-tail], b[head:len(b)-tail]
	if len(x)*len(y) > maxCompared {
		add("-", x)
		add("+", y)
	} else {
		common := commonLines(x, y)
		for i, j := 0, 0; i < len(x) || j < len(y); {
			switch {
			case i < len(x) && j < len(y) && x[i] == y[j]:
				add(" ", x[i:i+1])
				i, j = i+1, j+1
			case i < len(x) && (j == len(y) || common[i+1][j] >= common[i][j+1]):
				add("-", x[i:i+1])
				i++
			default:
				add("+", y[j:j+1])
				j++
			}
		}
	}
	add(" ", a[len(a)-tail:])
	return lines
}

// commonLines returns how many lines a[i:] and b[j:] have in common, in order, for all i and j.
func commonLines(a, b []string) [][]int {
	n := make([][]int, len(a)+1)
	for i := range n {
		n[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				n[i][j] = n[i+1][j+1] + 1
			} else {
				n[i][j] = max(n[i+1][j], n[i][j+1])
			}
		}
	}
	return n
}

// splitLines cuts behind each LF.
func splitLines(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// display makes a line safe to show, and says when it has no end.
func display(line string) string {
	text, ended := strings.CutSuffix(line, "\n")
	if text = safe([]byte(text)); !ended {
		text += " (without a line end)"
	}
	return text
}
