package ftfuse_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "ftfuse"

// everything stands for a package that assembles or drives the others.
const everything = "*"

// edges is the import graph: which packages of the house a package may import. A new edge is a line in a diff that a
// reviewer sees. Rows of packages that are still to come are here already.
var edges = map[string]string{
	"internal/record":                 "",
	"internal/wire":                   "record",
	"internal/secure":                 "",
	"internal/authority":              "",
	"internal/identify":               "record",
	"internal/rules":                  "record",
	"internal/fields":                 "",
	"internal/filter":                 "record rules fields",
	"internal/format":                 "record fields",
	"internal/tap":                    "record",
	"internal/top":                    "control",
	"internal/attach":                 "",
	"internal/handover":               "notice",
	"internal/notice":                 "",
	"internal/memo":                   "",
	"internal/pulse":                  "",
	"internal/mount":                  "record pulse attach memo notice handover",
	"internal/capture":                "record pulse wire notice",
	"internal/refine":                 "record filter format",
	"internal/queue":                  "record pulse wire notice",
	"internal/payload":                "record wire",
	"internal/drain":                  "record payload notice",
	"internal/pace":                   "",
	"internal/uplink":                 "record pace payload wire notice",
	"internal/share":                  "record",
	"internal/resolve":                "",
	"internal/resolve/dnstest":        "", // for tests
	"internal/probe":                  "record wire",
	"internal/carry":                  "record probe uplink wire",
	"internal/show":                   "record ingest format",
	"internal/ingest":                 "record pulse wire notice",
	"internal/ledger":                 "record notice",
	"internal/ledger/faulty":          "", // fault injection for tests
	"internal/output":                 "record pulse ledger notice journald format",
	"internal/plugin":                 "record pulse notice journald payload",
	"internal/config":                 "record rules",
	"internal/k2hft":                  "config filter format",
	"internal/bugreport":              "",
	"internal/control":                "record format",
	"internal/metrics":                "record control",
	"internal/journald":               "",
	"internal/journald/journaldtest":  "", // for tests
	"internal/systemd":                "journald",
	"internal/node":                   "record pace pulse identify rules filter refine drain format plugin wire mount handover capture queue share uplink ingest ledger output config control metrics systemd notice tap secure resolve",
	"receiver":                        "record ingest",
	"receiver/examples/ftfuse-sqlite": "receiver",
	"internal/receivertest":           "record queue uplink wire", // for tests
	"internal/netlab":                 "",                         // networks of hosts for tests
	"cmd/ftfuse":                      "authority secure bugreport record rules filter format capture refine queue output plugin config control node systemd notice top k2hft wire probe carry show resolve",
	"cmd/mount.ftfuse":                "attach handover notice systemd",
	"cmd/ftfuse-broker":               "handover systemd",
	"scripts/bench":                   "authority record secure wire",
	"scripts/bench/nullfs":            "",
	"scripts/manpages":                "",
	"scripts/testgate":                "",
	"packaging":                       "", // tests of the packages
	"internal/appliance":              "", // tests of the packages on booted machines
	"internal/e2e":                    "", // tests of the real programs
	"internal/e2e/actor":              "e2e/numbered",
	"internal/e2e/numbered":           "",
	".":                               "",
}

// owners says which packages may import a third-party module: one each, so that it can be replaced in one place.
var owners = map[string]string{
	"github.com/hanwen/go-fuse/v2":        "internal/mount scripts/bench/nullfs",
	"github.com/syndtr/goleveldb":         "internal/queue internal/ledger internal/ledger/faulty",
	"github.com/vmihailenco/msgpack/v5":   "internal/wire",
	"github.com/klauspost/compress":       "internal/wire internal/output",
	"golang.org/x/time":                   "internal/pace internal/ingest",
	"golang.org/x/net":                    "internal/netlab internal/resolve/dnstest", // its dns/dnsmessage
	"github.com/knadh/koanf/v2":           "internal/config",
	"github.com/go-viper/mapstructure/v2": "internal/config",
	"go.yaml.in/yaml/v3":                  "internal/config internal/k2hft",
	"github.com/ncruces/go-sqlite3":       "receiver/examples/ftfuse-sqlite",
	"github.com/bmatcuk/doublestar/v4":    "internal/rules",
	"github.com/itchyny/timefmt-go":       "internal/format",
	"github.com/coreos/go-systemd/v22":    "internal/systemd",
	"github.com/prometheus/client_golang": "internal/metrics",
	"github.com/spf13/cobra":              "cmd/ftfuse",
	"github.com/spf13/pflag":              "cmd/ftfuse",
	"github.com/cpuguy83/go-md2man/v2":    "scripts/manpages",
	"github.com/dustin/go-humanize":       "cmd/ftfuse",
	"golang.org/x/term":                   "cmd/ftfuse",
	"github.com/gdamore/tcell/v3":         "internal/top",
	"golang.org/x/sys":                    everything,
	"golang.org/x/sync":                   everything,
	"go.uber.org/goleak":                  "", // tests only
	"pgregory.net/rapid":                  "",
	"github.com/rogpeppe/go-internal":     "",
}

// vague are names that say nothing of what a package is for.
var vague = strings.Fields("util utils common types helpers helper misc base shared lib")

// source is one parsed Go file; dir is relative to the module, "." for its root.
type source struct {
	dir, name string
	ast       *ast.File
	fset      *token.FileSet
}

func (s *source) test() bool           { return strings.HasSuffix(s.name, "_test.go") }
func (s *source) path() string         { return path.Join(s.dir, s.name) }
func (s *source) line(p token.Pos) int { return s.fset.Position(p).Line }

// walk calls f with every file of the tree that is kept in it.
func walk(t *testing.T, f func(name string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "bin" || name == "dist"):
			return filepath.SkipDir
		case d.Type().IsRegular():
			f(filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// parsed is the whole tree, read by the first test that asks; the tests of this package are not parallel.
var parsed []source

// sources parses every Go file of the tree.
func sources(t *testing.T) []source {
	t.Helper()
	if parsed != nil {
		return parsed
	}
	var all []source
	fset := token.NewFileSet()
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".go") {
			return
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		all = append(all, source{path.Dir(name), path.Base(name), f, fset})
	})
	if len(all) < 20 {
		t.Fatalf("%d Go files found: want the whole tree", len(all))
	}
	parsed = all
	return all
}

func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		allowed, known := edges[s.dir]
		if !known {
			t.Errorf("%s: package %s has no row in edges", s.path(), s.dir)
			continue
		}
		for _, i := range s.ast.Imports {
			checkImport(t, &s, allowed, strings.Trim(i.Path.Value, `"`))
		}
	}
}

func checkImport(t *testing.T, s *source, allowed, imported string) {
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		name := strings.TrimPrefix(own, "internal/")
		if allowed != everything && !s.test() && !slices.Contains(strings.Fields(allowed), name) {
			t.Errorf("%s: %s may not import %s: it may import %q", s.path(), s.dir, own, allowed)
		}
		return
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return // standard library
	}
	for mod, owner := range owners {
		if imported != mod && !strings.HasPrefix(imported, mod+"/") {
			continue
		}
		if owner != everything && !s.test() && !slices.Contains(strings.Fields(owner), s.dir) {
			t.Errorf("%s: %s belongs to %q, not to %s", s.path(), mod, owner, s.dir)
		}
		return
	}
	t.Errorf("%s: %s has no row in owners", s.path(), imported)
}

// TestPackageDocs wants one package comment per package, whose first sentence says what the package is for.
func TestPackageDocs(t *testing.T) {
	comments := map[string][]source{}
	packages := map[string]string{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		packages[s.dir] = s.ast.Name.Name
		if s.ast.Doc != nil {
			comments[s.dir] = append(comments[s.dir], s)
		}
	}
	for dir, name := range packages {
		if slices.Contains(vague, path.Base(dir)) {
			t.Errorf("%s: the name says nothing of what it is for", dir)
		}
		if n := len(comments[dir]); n != 1 {
			t.Errorf("%s: %d package comments, want one", dir, n)
			continue
		}
		prefix := "Package " + name + " "
		if name == "main" {
			prefix = "Command " + path.Base(dir) + " "
		}
		text := comments[dir][0].ast.Doc.Text()
		first := new(doc.Package).Synopsis(text)
		if !strings.HasPrefix(first, prefix) || !strings.HasSuffix(first, ".") || len(first) < len(prefix)+20 {
			t.Errorf("%s: the comment begins %q, want a sentence %q ... with a full stop", dir, first, prefix)
		}
	}
}
