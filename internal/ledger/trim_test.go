package ledger

import (
	"fmt"
	"testing"
)

func TestTrimForgetsTheOldest(t *testing.T) {
	l, _ := mustOpen(t, Options{Dir: t.TempDir()})
	b := l.Book("out")
	other := l.Book("other")
	for i := range 100 {
		p := Position{Path: fmt.Sprintf("f%02d", i), Written: int64((i * 37) % 100)}
		must(t, b.Commit([]Position{p}, nil, false))
		must(t, other.Commit([]Position{p}, nil, false))
	}
	for most, want := range map[int]int{100: 100, 1000: 100} {
		if n, err := b.Trim(most); n != want || err != nil {
			t.Fatalf("at most %d: got %d, %v, want %d", most, n, err, want)
		}
	}
	if n, err := b.Trim(80); n != 60 || err != nil {
		t.Fatalf("got %d, %v, want 60", n, err)
	}
	left := 0
	must(t, b.Positions(func(p Position) bool {
		if left++; p.Written < 40 {
			t.Errorf("%s, written at %d, is left", p.Path, p.Written)
		}
		return true
	}))
	if left != 60 {
		t.Errorf("got %d left, want 60", left)
	}
	if n, err := other.Trim(1000); n != 100 || err != nil {
		t.Errorf("another book: got %d, %v, want 100", n, err)
	}
}
