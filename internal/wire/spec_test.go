package wire

import (
	"flag"
	"fmt"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"ftfuse/internal/record"
)

var update = flag.Bool("update", false, "write the specification in docs/wire.md anew")

func specification(t *testing.T) string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	return f.Doc.Text()
}

// docs/wire.md has the package comment, for those who have the packages and not the source.
func TestSpecificationIsInDocs(t *testing.T) {
	const (
		file  = "../../docs/wire.md"
		begin = "<!-- from here on: the comment of package wire -->\n\n"
	)
	p := comment.Printer{HeadingLevel: 2, HeadingID: func(*comment.Heading) string { return "" }}
	want := string(p.Markdown(new(comment.Parser).Parse(specification(t))))
	_, want, _ = strings.Cut(want, "\n\n") // its first sentence speaks of the package
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, got, found := strings.Cut(string(text), begin)
	if !found {
		t.Fatalf("%s has no place for the specification", file)
	}
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("%s has not the package comment: go test ./internal/wire -run InDocs -update", file)
	}
	if err := os.WriteFile(file, []byte(before+begin+want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Every number that travels is named in the specification, and the limits and examples are the code's.
func TestSpecificationIsComplete(t *testing.T) {
	spec := strings.Join(strings.Fields(specification(t)), " ")
	var want []string
	for u := record.Line; u <= record.Framed; u++ {
		want = append(want, fmt.Sprintf("%d %v", u, u))
	}
	for k := record.Unknown; k <= record.Thread; k++ {
		want = append(want, fmt.Sprintf("%d %v", k, k))
	}
	for c := record.Seen; c <= record.Written; c++ {
		want = append(want, fmt.Sprintf("%d %v", c, c))
	}
	for _, r := range record.Reasons() {
		want = append(want, fmt.Sprintf("%d %v", r, r))
	}
	for c := NoVersion; c <= Loop; c++ {
		want = append(want, fmt.Sprintf("%d %v", c, c))
	}
	for c := range codecsEnd {
		want = append(want, fmt.Sprintf("%d %v", c, c))
	}
	for k := TypeHello; k <= TypeGoaway; k++ {
		want = append(want, fmt.Sprintf("%v [%d, ", k, k))
	}
	want = append(want, fmt.Sprintf("%d continues", record.Continues), fmt.Sprintf("%d continued", record.Continued),
		fmt.Sprintf("%d below", record.Below), fmt.Sprintf("%d last", record.Last))
	for _, n := range []int{MaxFrame, MaxControl, MaxChunks, MaxMarks, MaxStreams} {
		want = append(want, fmt.Sprint(n))
	}
	crc := record.CRC([]byte("123456789"))
	one := record.Chain(0).Next(1, crc, 9)
	want = append(want, fmt.Sprintf("%08x", crc), fmt.Sprintf("%016x", uint64(one)), fmt.Sprintf("%016x", uint64(one.Next(3, 0, 0))))
	for _, w := range want {
		if !strings.Contains(spec, w) {
			t.Errorf("the package comment does not say %q", w)
		}
	}
}
