package output

import (
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPaths(t *testing.T) {
	long := strings.Repeat("n", 300)
	for _, c := range []struct{ template, path, want string }{
		{"all.log", "a/b", "all.log"},
		{"{host}/{path}", "a/b", "host1/a/b"},
		{"{host}-{name}.log", "a/b", "host1-b.log"},
		{"{dir}/{name}", "a/b/c", "a/b/c"},
		{"{dir}/{name}", "c", "c"},
		{"x{mount}.{rule}", "c", "xm.r"},
		{"{date:%Y/%m-%d}.{uid}.{gid}.{pid}", "c", "2023/11-14.12.13.10"},
		{"{date:%-e %H}", "c", "14 22"},
		{"{unit}/{container}/{comm}", "c", "_/_/sh"},
		{"{sender}", "c", "01000000000000000000000000000000"},
		{"{path}", "../../etc//./passwd", "etc/passwd"},
		{"{path}", "/abs", "abs"},
		{"{path}", "..", "_"},
		{"{path}", "", "_"},
		{"{path}", "\x00", "_"},
		{"{path}", "a\x00b\n\x7f%41%zz", "ab%0A%7F%2541%zz"},
		{"{path}", "%4\x001", "%2541"},
		{"{name}{name}", ".", "%2E%2E"},
		{"{path}", ".ftfuse-x/y", "%2Eftfuse-x/y"},
		{"{path}", "a/..b/...", "a/..b/..."},
	} {
		p, err := parsePath(c.template, time.UTC)
		must(t, err)
		k := chunk(source(1), 1, c.path, "")
		if got := string(p.render(&k)); got != c.want {
			t.Errorf("%s of %q: got %q, want %q", c.template, c.path, got, c.want)
		}
	}
	p, err := parsePath("{path}", time.UTC)
	must(t, err)
	a, b := chunk(source(1), 1, "d/"+long+"1", ""), chunk(source(1), 1, "d/"+long+"2", "")
	if one, two := string(p.render(&a)), string(p.render(&b)); one == two || len(one) > maxName+2 {
		t.Errorf("long names: got %q and %q", one, two)
	}
}

func TestPathMistakes(t *testing.T) {
	for _, p := range []string{"", "/abs", "a//b", "../x", "a/../b", "./a", "a/", "{hots}", "{host", "ho}st", "{date:%Q}", "{date}", "a/."} {
		if _, err := parsePath(p, time.UTC); err == nil {
			t.Errorf("path %q: no error", p)
		}
	}
	if err := Validate(Options{Path: "x", Rotate: Rotate{Compress: "lzma"}}); err == nil {
		t.Error("compression lzma: no error")
	}
}

// Whatever a peer says, the path is one that stays below the base, and escapes can be undone.
func TestPathsAreSafe(t *testing.T) {
	p, err := parsePath("{host}{comm}/{path}/{name}{unit}.{dir}", time.UTC)
	must(t, err)
	values := rapid.StringOf(rapid.SampledFrom([]rune("./%4aA\x00\n~-" + "é")))
	rapid.Check(t, func(t *rapid.T) {
		c := chunk(source(1), 1, values.Draw(t, "path")+strings.Repeat("x/", rapid.IntRange(0, 100).Draw(t, "deep")), "")
		c.Source.Host, c.Writer.Comm, c.Writer.Unit = values.Draw(t, "host"), values.Draw(t, "comm"), strings.Repeat(values.Draw(t, "unit"), 50)
		got := string(p.render(&c))
		if got == "" || "/"+got != path.Clean("/"+got) || len(got) > maxPath+maxName || strings.ContainsAny(got, "\x00\n") {
			t.Fatalf("unsafe: %q", got)
		}
		for part := range strings.SplitSeq(got, "/") {
			if len(part) > maxName || part == ".." || strings.HasPrefix(part, ownName) {
				t.Fatalf("unsafe component %q of %q", part, got)
			}
		}
		v := values.Draw(t, "value")
		if back := undo(string(appendSafe(nil, v, false))); back != strings.ReplaceAll(v, "\x00", "") {
			t.Fatalf("%q comes back as %q", v, back)
		}
	})
}

// undo reads %XX back.
func undo(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			n, _ := strconv.ParseUint(s[i+1:i+3], 16, 8)
			b.WriteByte(byte(n))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
