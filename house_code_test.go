package ftfuse_test

import (
	"bytes"
	"go/ast"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// The limits. Most files have 100 to 200 lines and most functions fewer than 45; these are where it ends.
const (
	fileLines     = 500
	testFileLines = 800
	funcLines     = 60
	testFuncLines = 100
)

func TestLengths(t *testing.T) {
	for _, s := range sources(t) {
		most, mostFunc := fileLines, funcLines
		if s.test() {
			most, mostFunc = testFileLines, testFuncLines
		}
		if n := s.line(s.ast.FileEnd); n > most+1 {
			t.Errorf("%s: %d lines, want at most %d", s.path(), n, most)
		}
		for _, d := range s.ast.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			if n := s.line(f.Body.End()) - s.line(f.Pos()) + 1; n > mostFunc {
				t.Errorf("%s:%d: %s has %d lines, want at most %d", s.path(), s.line(f.Pos()), f.Name.Name, n, mostFunc)
			}
		}
	}
}

// TestConduct holds what the house asks of code and what the compiler does not: nothing below main ends the process,
// nothing that makes a value starts a goroutine.
func TestConduct(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, d := range s.ast.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			name := f.Name.Name
			maker := strings.HasPrefix(name, "New") || strings.HasPrefix(name, "Open") && f.Recv == nil
			ast.Inspect(f.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					if maker {
						t.Errorf("%s:%d: %s starts a goroutine", s.path(), s.line(n.Pos()), name)
					}
				case *ast.SelectorExpr:
					exits := ends(n)
					if exits && (s.ast.Name.Name != "main" || name != "main") {
						t.Errorf("%s:%d: %s ends the process; return an error", s.path(), s.line(n.Pos()), name)
					}
				}
				return true
			})
		}
	}
}

// ends reports whether an expression is a function of the standard library that ends the process.
func ends(n *ast.SelectorExpr) bool {
	x, ok := n.X.(*ast.Ident)
	return ok && (x.Name == "os" && n.Sel.Name == "Exit" || x.Name == "log" && strings.HasPrefix(n.Sel.Name, "Fatal"))
}

// TestSeeds wants a first corpus for every fuzz test: without one the ordinary run would test nothing.
func TestSeeds(t *testing.T) {
	found := 0
	for _, s := range sources(t) {
		for _, d := range s.ast.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !s.test() || !strings.HasPrefix(f.Name.Name, "Fuzz") {
				continue
			}
			found++
			if !seeded(f) && !hasFiles(path.Join(s.dir, "testdata/fuzz", f.Name.Name)) {
				t.Errorf("%s: %s has no seeds", s.path(), f.Name.Name)
			}
		}
	}
	if found == 0 {
		t.Error("no fuzz test found")
	}
}

// seeded reports whether a fuzz test calls f.Add or hands f to a function that does.
func seeded(f *ast.FuncDecl) bool {
	seeds := false
	ast.Inspect(f.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Add" {
			seeds = true
		}
		for _, a := range call.Args {
			if x, ok := a.(*ast.Ident); ok && x.Name == "f" {
				seeds = true
			}
		}
		return true
	})
	return seeds
}

func hasFiles(dir string) bool {
	d, err := os.ReadDir(dir)
	return err == nil && len(d) > 0
}

// unwanted is text that belongs to one person's machine or to work in progress, not to the tree.
var unwanted = []*regexp.Regexp{
	regexp.MustCompile(`(^|[^\w./])/(home|Users)/[a-z]\w*`),
	regexp.MustCompile(`(^|[^\w./])/root/\w`),
	regexp.MustCompile(`\b(FIX` + `ME|TO` + `DO|XX` + `X)\b`),
	regexp.MustCompile(`(?m)^(<{7}|>{7}) `),
	regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`),
}

// TestText reads every text file: nothing of one machine, nothing unfinished, and a line end at the end.
func TestText(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	walk(t, func(name string) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			return
		}
		if bytes.IndexByte(b, 0) >= 0 || strings.Contains(name, "testdata/") {
			return
		}
		if len(here) > 8 && bytes.Contains(b, []byte(here)) {
			t.Errorf("%s: names the folder that it is kept in", name)
		}
		for _, u := range unwanted {
			if at := u.FindIndex(b); at != nil {
				t.Errorf("%s:%d: %q has no place in the tree", name, 1+bytes.Count(b[:at[0]], []byte{'\n'}), b[at[0]:at[1]])
			}
		}
		if len(b) > 0 && b[len(b)-1] != '\n' {
			t.Errorf("%s: the last line has no end", name)
		}
	})
}
