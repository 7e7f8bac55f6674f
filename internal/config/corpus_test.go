package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// load reads a file of testdata by the role that its name begins with.
func load(path string, environ ...string) (any, *Report, error) {
	if strings.HasPrefix(filepath.Base(path), "receiver") {
		return LoadReceiver(Sources{File: path, Environ: environ})
	}
	return LoadSender(Sources{File: path, Environ: environ})
}

func render(ps Problems) string {
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(p.Error() + "\n")
		if p.Hint != "" {
			b.WriteString("hint: " + p.Hint + "\n")
		}
	}
	return b.String()
}

func corpus(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
	if err != nil || len(files) < 10 {
		t.Fatalf("corpus %s: got %d files, want at least 10 (%v)", dir, len(files), err)
	}
	return files
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	path := strings.TrimSuffix(file, ".yaml") + ".want"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// Each file has one mistake, which gives one message.
func TestBadFiles(t *testing.T) {
	for _, file := range corpus(t, "bad") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, _, err := load(file)
			var ps Problems
			if !errors.As(err, &ps) || !errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v, want Problems", err)
			}
			if len(ps) != 1 {
				t.Errorf("got %d messages, want one: %v", len(ps), ps)
			}
			if ps[0].Origin.Line == 0 {
				t.Errorf("no line in %v", ps[0])
			}
			golden(t, file, render(ps))
		})
	}
}

// Each file can be used and has one thing to doubt.
func TestDoubtfulFiles(t *testing.T) {
	for _, file := range corpus(t, "doubt") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, report, err := load(file)
			if err != nil {
				t.Fatal(err)
			}
			var ps Problems
			for _, w := range report.Warnings {
				if w.Origin.Line > 0 || !strings.HasPrefix(w.Key, "queue.") { // the others are about this machine's disk
					ps = append(ps, w)
				}
			}
			golden(t, file, render(ps))
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sender.yaml")
	text := "hots: a\nlog: {level: loud}\nqueue: {max_size: big}\nmounts: [{name: a, path: b}]\n" +
		"rules: [{name: r, match: ['**'], targets: [nowhere], expire: 1}]\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, err := load(path)
	var ps Problems
	if !errors.As(err, &ps) || len(ps) != 5 {
		t.Fatalf("got %v, want 5 problems", err)
	}
	for i, p := range ps {
		if p.Origin.Line != i+1 {
			t.Errorf("problem %d is at line %d, want them in order of lines: %v", i, p.Origin.Line, p)
		}
	}
}
