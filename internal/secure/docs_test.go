package secure

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every claim of docs/security.md about the network has its test: those that it names are there.
func TestClaimsHaveTests(t *testing.T) {
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(text, -1)
	if len(named) < 15 {
		t.Fatalf("got %d tests named, want one for each claim", len(named))
	}
	for _, m := range named {
		if !strings.Contains(all.String(), "func "+string(m[1])+"(") {
			t.Errorf("docs/security.md names %s, which is not there", m[1])
		}
	}
}
