package notice_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ftfuse/internal/notice"
)

const (
	root    = "../.."
	catalog = root + "/packaging/ftfuse.catalog"
)

// entry is what the code or the catalog has of one notice.
type entry struct{ name, id string }

// inCode returns the notices by the name of their variables.
func inCode(t *testing.T) map[string]entry {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "notice.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]entry{}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		call, ok := v.Values[0].(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		var args [2]string
		for i := range args {
			if args[i], err = strconv.Unquote(call.Args[i].(*ast.BasicLit).Value); err != nil {
				t.Fatal(err)
			}
		}
		all[v.Names[0].Name] = entry{args[0], args[1]}
		return true
	})
	if len(all) < 20 {
		t.Fatalf("got %d notices, want all", len(all))
	}
	return all
}

// The code and the catalog have the same ids, each once, under the same names, and docs/operations.md lists them.
func TestCatalogIsComplete(t *testing.T) {
	text, err := os.ReadFile(catalog)
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]string{} // names by id
	docs, err := os.ReadFile(root + "/docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^# (\w+)\n-- ([0-9a-f]{32})\nSubject: (.+)\nDefined-By: ftfuse\nSupport: .+\nDocumentation: .+\n\n\S`).FindAllSubmatch(text, -1) {
		if explained[string(m[2])] != "" {
			t.Errorf("%s is explained twice", m[2])
		}
		explained[string(m[2])] = string(m[1])
		if row := fmt.Sprintf("\n| `%s` | %s |\n", m[1], m[3]); !bytes.Contains(docs, []byte(row)) {
			t.Errorf("docs/operations.md has no row %q", row)
		}
	}
	if n := bytes.Count(text, []byte("\n-- ")); n != len(explained) {
		t.Errorf("%d entries of %d have a name, an id and all headers", len(explained), n)
	}
	ids := map[string]bool{}
	for variable, e := range inCode(t) {
		if strings.ReplaceAll(e.name, "_", "") != strings.ToLower(variable) {
			t.Errorf("%s is called %s", variable, e.name)
		}
		if ids[e.id] {
			t.Errorf("%s has an id that another has", variable)
		}
		ids[e.id] = true
		if explained[e.id] != e.name {
			t.Errorf("%s: the catalog has %q for %s, want %q", variable, explained[e.id], e.id, e.name)
		}
	}
	for id, name := range explained {
		if !ids[id] {
			t.Errorf("%s: no message has the id %s", name, id)
		}
	}
}

// Every notice is given with some message.
func TestNoticesAreUsed(t *testing.T) {
	unused := inCode(t)
	use := regexp.MustCompile(`\bnotice\.(\w+)`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range use.FindAllSubmatch(text, -1) {
			delete(unused, string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range unused {
		t.Errorf("no message has notice.%s", name)
	}
}

// journalctl takes the catalog and finds every entry in it.
func TestCatalogCompiles(t *testing.T) {
	dir := t.TempDir()
	where := filepath.Join(dir, "usr/lib/systemd/catalog")
	text, err := os.ReadFile(catalog)
	if err == nil {
		err = os.MkdirAll(where, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(where, "ftfuse.catalog"), text, 0o644)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "var/lib/systemd/catalog"), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("journalctl", "--root="+dir, "--update-catalog").CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("journalctl --update-catalog: %v: %s", err, out)
	}
	out, err := exec.Command("journalctl", "--root="+dir, "--list-catalog").CombinedOutput()
	if err != nil {
		t.Fatalf("journalctl --list-catalog: %v: %s", err, out)
	}
	for variable, e := range inCode(t) {
		if !strings.Contains(string(out), e.id+" ftfuse: ") {
			t.Errorf("%s (%s) is not listed", variable, e.id)
		}
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Warn("x", notice.QueueFull)
	slog.New(slog.NewJSONHandler(&b, nil)).Warn("x", notice.QueueFull)
	for _, want := range []string{" notice=queue_full\n", `"notice":"queue_full"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got %s, want %s in it", b.String(), want)
		}
	}
}

// withs are the attributes that loggers bring along, by package.
var withs = map[string]string{"uplink": "target", "mount": "mount dir", "ingest": "peer", "output": "output", "plugin": "output"}

// What the catalog quotes of a message, every message with that notice has.
func TestCatalogQuotesWhatMessagesHave(t *testing.T) {
	text, err := os.ReadFile(catalog)
	if err != nil {
		t.Fatal(err)
	}
	quotes := map[string][]string{} // keys by the name of the notice
	for _, part := range strings.Split(string(text), "\n# ")[1:] {
		name, _, _ := strings.Cut(part, "\n")
		for _, m := range regexp.MustCompile(`@FTFUSE_(\w+)@`).FindAllStringSubmatch(part, -1) {
			quotes[name] = append(quotes[name], strings.ToLower(m[1]))
		}
	}
	calls := 0
	eachCall(t, func(pkg, name, where string, has map[string]bool) {
		calls++
		for _, key := range quotes[name] {
			if !has[key] && !strings.Contains(" "+withs[pkg]+" ", " "+key+" ") {
				t.Errorf("%s: the catalog quotes %q of %s, which this message has not", where, key, name)
			}
		}
	})
	if calls < 40 {
		t.Errorf("got %d messages with notices, want all", calls)
	}
}

// eachCall calls f for every call of the program that has a notice among its arguments, with the texts in it.
func eachCall(t *testing.T, f func(pkg, name, where string, has map[string]bool)) {
	t.Helper()
	code := inCode(t)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			for _, a := range call.Args {
				sel, ok := a.(*ast.SelectorExpr)
				if !ok {
					continue
				}
				if id, ok := sel.X.(*ast.Ident); ok && id.Name == "notice" {
					f(filepath.Base(filepath.Dir(path)), code[sel.Sel.Name].name, fset.Position(call.Pos()).String(), texts(call))
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func texts(call *ast.CallExpr) map[string]bool {
	all := map[string]bool{}
	ast.Inspect(call, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				all[s] = true
			}
		}
		return true
	})
	return all
}
