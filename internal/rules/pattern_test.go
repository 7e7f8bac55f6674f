package rules

import (
	"errors"
	"testing"
)

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"**", "a/b", true},
		{"*.log", "a.log", true},
		{"*.log", "d/a.log", false},
		{"**/*.log", "a.log", true},
		{"{web,db}/**", "db/x/y", true},
		{"{web,db}/**", "dbx/y", false},
	} {
		match, err := Pattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := match(c.path); got != c.want {
			t.Errorf("%s %s: got %v, want %v", c.pattern, c.path, got, c.want)
		}
	}
	if _, err := Pattern("a["); !errors.As(err, new(*PatternError)) {
		t.Errorf("got %v, want a PatternError", err)
	}
}
