package node

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ftfuse/internal/config"
	"ftfuse/internal/filter"
)

// The configuration refuses a name that no filter has, and no other.
func TestBuiltInPatternsAreThoseOfFilters(t *testing.T) {
	if want := filter.BuiltIn(); !slices.Equal(slices.Sorted(slices.Values(config.BuiltInPatterns)), slices.Sorted(slices.Values(want))) {
		t.Errorf("got %q, want %q", config.BuiltInPatterns, want)
	}
}

// Every way of assembly comes through: what one rule makes one record, filters see as one.
func TestExamplesSeeRecordsAsRulesMakeThem(t *testing.T) {
	for name, c := range map[string]struct{ rule, in, out string }{
		"line":     {`filters: [{action: deny, prefix: b}]`, `a\nb\nc`, `a\nc`},
		"nul":      {`line_end: nul, filters: [{action: deny, prefix: b}]`, `a\0b\nc\0bb\0d\0`, `a\0d\0`},
		"start":    {`join: {start: '^\S'}, filters: [{action: deny, contains: at}]`, `b\n at\nc\n d\n`, `c\n d\n`},
		"continue": {`join: {continue: '^\s'}, filters: [{action: deny, contains: at}]`, `b\n at\nc\n d\n`, `c\n d\n`},
		"lines":    {`join: {start: '^\S', lines: 2}, filters: [{action: deny, contains: at}]`, `b\n at\n d\n`, ` d\n`},
		"write":    {`unit: write, capture: write, filters: [{action: deny, contains: b}]`, `a\nb\n`, ``},
		"binary":   {`unit: binary`, `a\0\nb`, `a\0\nb`},
		"split":    {`max_record: 4, filters: [{action: deny, prefix: x}]`, `xxxxabcdef\nabcdxxxx\n`, `abcdxxxx\n`},
		"drop":     {`max_record: 4, too_long: drop`, `abcdef\nabc\n`, `abc\n`},
		"batch":    {`batch: {records: 2, wait: 1h}`, `a\nb\nc\n`, `a\nb\nc\n`},
		"none":     {`otherwise: deny`, `a\n`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := loadedSender(t, "rules: [{name: r, match: [\"**\"], targets: [default]}]\n"+
				"tests: [{name: t, path: a, rule: r, in: \""+c.in+"\", out: [{target: default, text: \""+c.out+"\"}]}]\n", "rules: [{name: r, "+c.rule+"}]\n")
			got, err := RunSenderTests(cfg, func(string) bool { return true })
			if err != nil || len(got) != 1 || !got[0].OK {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// loadedSender reads a configuration of a main file and a drop-in.
func loadedSender(t *testing.T, text, dropIn string) *config.Sender {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sender.yaml")
	for path, text := range map[string]string{file: text, filepath.Join(filepath.Dir(file), "sender.d", "1.yaml"): dropIn} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cfg, _, err := config.LoadSender(config.Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
