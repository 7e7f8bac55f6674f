package fields

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestFind(t *testing.T) {
	const object = ` {"level":"error", "n" : -1.5e3,"t":true,"z":null,"empty":"","o":{"a":{"b":"deep"},"c":[1,{"d":2}]},"o.flat":"f",` +
		`"say":"a \"b\" \\ \/ \u00e9\ud83d\ude00\ud800 \x \u12","\u006bey":"k","level":"second","arr":[{"x":"no"}],"bytes":"` + "\xff\xfe" + `"}`
	const text = `time=2026-01-02T03:04:05Z level=warn msg="a b=c \"q\" é" free words user.id=7 url=http://x/?a=b empty= quoted="" x"y z=1"w last="open end`
	for _, c := range []struct{ line, name, want string }{
		{object, "level", "error"},
		{object, "n", "-1.5e3"},
		{object, "t", "true"},
		{object, "z", "null"},
		{object, "empty", ""},
		{object, "o.a.b", "deep"},
		{object, "o.a", `{"b":"deep"}`},
		{object, "o.c", `[1,{"d":2}]`},
		{object, "o.flat", "f"},
		{object, "say", "a \"b\" \\ / é😀\uFFFD \\x \\u12"},
		{object, "key", "k"},
		{object, "bytes", "\xff\xfe"},
		{object, "arr.x", "-"},
		{object, "o.a.c", "-"},
		{object, "d", "-"},
		{object, "", "-"},
		{object, "o.", "-"},
		{`{"":1}`, "", "1"},
		{`{"a":{"":"x"}}`, "a.", "x"},
		{`{"a":{"b":1},"a.b":2}`, "a.b", "1"},
		{`{"a":{"c":1},"a.b":2}`, "a.b", "2"},
		{`{"a":1,"b":2`, "a", "1"},
		{`{"a":1,"b":2`, "b", "-"},
		{`{"a":"x`, "a", "-"},
		{`{"a" 1,"b":2}`, "b", "-"},
		{`{"a":,"b":2}`, "b", "-"},
		{`{"a":[1,"b":2}`, "b", "-"},
		{`{`, "a", "-"}, {``, "a", "-"}, {`{}`, "a", "-"}, {`[{"a":1}]`, "a", "-"},
		{text, "time", "2026-01-02T03:04:05Z"},
		{text, "level", "warn"},
		{text, "msg", `a b=c "q" é`},
		{text, "b", "-"},
		{text, "free", "-"},
		{text, "user.id", "7"},
		{text, "url", "http://x/?a=b"},
		{text, "empty", ""},
		{text, "quoted", ""},
		{text, "z", "-"},
		{text, "last", `"open`},
		{`="x" =y a=1`, "", "-"},
		{`a=1 a=2`, "a", "1"},
		{"a=\xff\x00b c=1", "a", "\xff\x00b"},
		{strings.Repeat("k", 100) + "=v", strings.Repeat("k", 100), "v"},
	} {
		got, ok := Find([]byte(c.line), c.name)
		if !ok {
			got = []byte("-")
		}
		if string(got) != c.want {
			t.Errorf("Find(%q, %q) = %q, want %q", c.line, c.name, got, c.want)
		}
		if v, ok := Lookup([]byte(c.line), c.name); ok && (!v.Is(c.want) || v.Is(c.want+"x") || c.want != "" && v.Is(c.want[1:])) {
			t.Errorf("Lookup(%q, %q).Is does not agree with %q", c.line, c.name, c.want)
		}
	}
}

// TestAgainstEncodingJSON holds strings of any kind, written by encoding/json, to what comes back.
func TestAgainstEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringN(1, 8, -1).Filter(func(s string) bool { return !strings.Contains(s, ".") }).Draw(t, "key")
		want := map[string]any{}
		for _, k := range rapid.SliceOfDistinct(rapid.String(), rapid.ID).Draw(t, "others") {
			want[k] = rapid.OneOf(rapid.Just(any(nil)), rapid.Just(any([]any{map[string]any{key: 1}})), rapid.Map(rapid.String(), toAny)).Draw(t, "value")
		}
		text := rapid.String().Draw(t, "text")
		want[key] = text
		line, err := json.Marshal(map[string]any{"outer": want, "before": "\"" + key})
		if err != nil {
			t.Fatal(err)
		}
		for name, line := range map[string][]byte{"outer." + key: line, key: mustMarshal(want)} {
			if got, ok := Find(line, name); !ok || string(got) != text {
				t.Fatalf("Find(%s, %q) = %q, %v, want %q", line, name, got, ok, text)
			}
		}
	})
}

func toAny(s string) any { return s }

func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func TestWordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[ -~é\t]{0,20}`).Draw(t, "value")
		line := fmt.Sprintf("ts=1 other=%q key=%q more text", "key=no", value)
		if got, ok := Find([]byte(line), "key"); !ok || string(got) != value {
			t.Fatalf("Find(%s) = %q, %v, want %q", line, got, ok, value)
		}
	})
}

func TestLookupDoesNotAllocate(t *testing.T) {
	long := strings.Repeat("n", 80)
	for _, line := range []string{`{"a":"x","e":"a\nb","o":{"p":1}}`, `a=x e="a\nb" o.p=1`, `nothing`, `{"broken`} {
		b := []byte(line)
		for _, name := range []string{"a", "e", "o.p", "missing", long} {
			if n := testing.AllocsPerRun(100, func() {
				if v, ok := Lookup(b, name); ok && v.Is("no") {
					t.Error("no field has this value")
				}
			}); n > 0 {
				t.Errorf("Lookup(%q, %q) allocates %v times, want 0", line, name, n)
			}
		}
		if n := testing.AllocsPerRun(100, func() { Find(b, "a") }); n > 0 {
			t.Errorf("Find(%q, a) allocates %v times, want 0", line, n)
		}
	}
}

// Quotes that are never closed must not be looked at once for each of them: a test that ends is the proof.
func TestManyOpenQuotes(t *testing.T) {
	for _, part := range []string{`\"`, `"`, `a="\"`, `x"\`, `{"a":`, `[`} {
		line := bytes.Repeat([]byte(part), 1<<20/len(part))
		if _, ok := Lookup(line, "zz"); ok {
			t.Errorf("found a field in a run of %q", part)
		}
		if _, ok := Lookup(append([]byte(`{"a":`), line...), "zz"); ok {
			t.Errorf("found a field in an object of %q", part)
		}
	}
}

func FuzzFind(f *testing.F) {
	for _, s := range []string{`{"a":{"b":"\ud83d\u"}}`, `a="x\" b=1 c`, `{"a":[[[`, "a=\xff", `{"\u0061":1,"a":2}`, `{"a":"\`} {
		f.Add([]byte(s), "a")
		f.Add([]byte(s), "a.b")
	}
	f.Fuzz(func(t *testing.T, line []byte, name string) {
		before := bytes.Clone(line)
		got, ok := Find(line, name)
		if !bytes.Equal(line, before) {
			t.Fatalf("the line was changed: %q, want %q", line, before)
		}
		v, found := Lookup(line, name)
		if ok != found || ok && !v.Is(string(got)) {
			t.Fatalf("Find gives %q, %v, Lookup %v", got, ok, found)
		}
		if ok && got == nil {
			t.Fatal("a value that is there is nil")
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(line, &object) != nil || !utf8.Valid(line) || len(object) == 0 || strings.Contains(name, ".") {
			return
		}
		if raw, there := object[name]; there != ok && utf8.ValidString(name) {
			t.Fatalf("%q in %q: %v, encoding/json says %v (%s)", name, line, ok, there, strconv.Quote(string(raw)))
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	for name, line := range map[string]string{
		"json":   `{"time":"2026-01-02T03:04:05Z","host":"web1","msg":"GET /index.html 200","level":"info","user":{"id":7,"name":"x"}}`,
		"logfmt": `time=2026-01-02T03:04:05Z host=web1 msg="GET /index.html 200" level=info user.id=7 user.name=x duration=12.3ms`,
	} {
		for _, field := range []string{"level", "missing"} {
			b.Run(name+"/"+field, func(b *testing.B) {
				in := []byte(line)
				b.SetBytes(int64(len(in)))
				b.ReportAllocs()
				for b.Loop() {
					Lookup(in, field)
				}
			})
		}
	}
}
