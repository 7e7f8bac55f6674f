package notice_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table in docs/operations.md anew")

// The table of messages in docs/operations.md is the catalog's names and subjects.
func TestMessagesAreListed(t *testing.T) {
	const (
		file  = root + "/docs/operations.md"
		begin = "| message | subject |\n|---|---|\n"
	)
	b, err := os.ReadFile(catalog)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^# (\w+)\n-- \w+\nSubject: (.*)$`).FindAllStringSubmatch(string(b), -1) {
		fmt.Fprintf(&table, "| `%s` | %s |\n", m[1], m[2])
	}
	if n := strings.Count(table.String(), "\n"); n != len(inCode(t)) {
		t.Errorf("the catalog has %d messages, the code %d", n, len(inCode(t)))
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	got, after, ends := strings.Cut(rest, "\n\n")
	if !found || !ends {
		t.Fatalf("%s has no table of messages", file)
	}
	if got+"\n" == table.String() {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the catalog's messages: go test ./internal/notice -run Listed -update", file)
	}
	if err := os.WriteFile(file, []byte(before+begin+table.String()+"\n"+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
