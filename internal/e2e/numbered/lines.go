// Package numbered makes the lines by which tests of the real programs find out what was lost, doubled or disordered.
package numbered

import (
	"fmt"
	"math/rand"
	"strings"
)

// Lines makes the lines of one writer, "ID N PADDING\n" with N from 1: the same ones for the same arguments.
type Lines struct {
	id   string
	most int
	n    int
	rnd  *rand.Rand
}

// Of makes the lines of the writer id, with a padding of at most most bytes.
func Of(id string, most int) *Lines {
	return &Lines{id: id, most: most, rnd: rand.New(rand.NewSource(1))}
}

// Next returns the next line and its number.
func (l *Lines) Next() (int, string) {
	l.n++
	return l.n, fmt.Sprintf("%s %d %s\n", l.id, l.n, strings.Repeat("x", l.rnd.Intn(l.most+1)))
}
