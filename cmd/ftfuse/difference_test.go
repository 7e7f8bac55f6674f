package main

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Without its + lines a difference is what was wanted, without its - lines what came; what both have is never in both.
func TestDifferenceHoldsBothTexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a\n", "b\n", "c\n", "\n"}), 0, 12).Draw(t, "lines"), "")
		})
		want, got := text.Draw(t, "want"), text.Draw(t, "got")
		var left, right string
		common := 0
		for _, line := range difference(want, got) {
			rest := line[2:] + "\n"
			switch line[0] {
			case '-':
				left += rest
			case '+':
				right += rest
			default:
				left, right, common = left+rest, right+rest, common+1
			}
		}
		if left != want || right != got {
			t.Fatalf("got %q and %q, want %q and %q", left, right, want, got)
		}
		if a, b := splitLines(want), splitLines(got); common != commonLines(a, b)[0][0] {
			t.Fatalf("%d common lines of %q and %q, want %d", common, want, got, commonLines(a, b)[0][0])
		}
	})
}

// Texts that are too long to be compared in full are shown whole, one behind the other.
func TestDifferenceOfLongTexts(t *testing.T) {
	got := difference("x\n"+strings.Repeat("a\n", 3000), "x\n"+strings.Repeat("b\n", 3000))
	if want := slices.Concat([]string{"  x"}, slices.Repeat([]string{"- a"}, 3000), slices.Repeat([]string{"+ b"}, 3000)); !slices.Equal(got, want) {
		t.Errorf("got %d lines, want %d", len(got), len(want))
	}
	if got := difference("a", "a\x00\n"); !slices.Equal(got, []string{"- a (without a line end)", `+ a\x00`}) {
		t.Errorf("got %q", got)
	}
}
