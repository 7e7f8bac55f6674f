package main

import (
	"strings"
	"testing"
)

func TestFitKeepsTheBeginning(t *testing.T) {
	text := "1\n2\n3\n4\n5\n"
	for _, c := range []struct {
		height int
		want   string
	}{
		{0, text}, {1, text}, {6, text},
		{5, "1\n2\n3\n4\n... 1 more"}, {2, "1\n... 4 more"},
	} {
		got := string(fit([]byte(text), c.height))
		if !strings.HasPrefix(got, c.want) || c.want == text && got != text {
			t.Errorf("fit to %d lines: got %q, want %q", c.height, got, c.want)
		}
	}
}
