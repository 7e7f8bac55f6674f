package k2hft

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

func TestValuesOfINI(t *testing.T) {
	tests := []struct{ in, want string }{
		{`plain`, "plain"},
		{`  two words  `, "two words"},
		{`"quoted"`, "quoted"},
		{`"a \"b\" \\ \n"`, `a "b" \ \n`},
		{`'single "kept" \n'`, `single "kept" \n`},
		{`value # comment`, "value"},
		{`value#none`, "value#none"},
		{`"a # b"`, "a # b"},
		{`a "b c" d`, "a b c d"},
		{`%L\n`, "%Ln"},
		{`\"x\"`, `"x"`},
		{``, ""},
	}
	for _, test := range tests {
		c, err := Read("x.ini", []byte("[GLOBAL]\nkey ="+test.in+"\n"), nil)
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		if e := c.Sections[0].Entries[0]; e.Key != "KEY" || e.Text != test.want || e.Place.Line != 2 {
			t.Errorf("%s: got %q, want %q", test.in, e.Text, test.want)
		}
	}
	for _, bad := range []string{`"open`, `'open`, `end\`} {
		if _, err := Read("x.ini", []byte("[GLOBAL]\nKEY = "+bad), nil); err == nil || !strings.Contains(err.Error(), "x.ini:2") {
			t.Errorf("%s: got %v, want an error with its line", bad, err)
		}
	}
}

func TestPartsOfPatterns(t *testing.T) {
	tests := []struct {
		in   string
		want []Part
	}{
		{`INFO`, []Part{{Text: "INFO"}}},
		{`INFO, WARN`, []Part{{Text: "INFO, WARN"}}},
		{`"(.*)ERR(.*)"`, []Part{{Text: "(.*)ERR(.*)", Quoted: true}}},
		{`"(.*)E,R(.*)", "$1 \"x\" $2"`, []Part{{Text: "(.*)E,R(.*)", Quoted: true}, {Text: `$1 \"x\" $2`, Quoted: true}}},
		{`'"(.*)ERR(.*)"','"$1"'`, []Part{{Text: "(.*)ERR(.*)", Quoted: true, Inner: true}, {Text: "$1", Quoted: true, Inner: true}}},
		{`"\"a.b\""`, []Part{{Text: "a.b", Quoted: true, Inner: true}}},
		{`'a.b'`, []Part{{Text: "a.b"}}},
		{``, []Part{{}}},
	}
	for _, test := range tests {
		c, err := Read("x.ini", []byte("[K2HFTFUSE_RULE]\nALLOW = "+test.in+"\n"), nil)
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		if got := c.Sections[0].Entries[0].Parts; !slices.Equal(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", test.in, got, test.want)
		}
	}
}

func TestInclude(t *testing.T) {
	files := map[string]string{"dir/rules.ini": "[K2HFTFUSE_RULE]\nTARGET = a\nTRUNS = on\n", "dir/loop.ini": "INCLUDE = top.ini\n"}
	open := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	c, err := Read("dir/top.ini", []byte("[K2HFTFUSE]\nINCLUDE = rules.ini\n"), open)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Translate(c, nil, Options{})
	if err != nil || !strings.Contains(r.Sender, "TARGET, line 2 of rules.ini of [K2HFTFUSE_RULE]") {
		t.Errorf("got %s, %v; want the rule of the included file", r.Sender, err)
	}
	for _, file := range []string{"loop.ini", "none.ini"} {
		if _, err := Read("dir/top.ini", []byte("INCLUDE "+file+"\n"), open); err == nil {
			t.Errorf("INCLUDE %s: got no error", file)
		}
	}
	if _, err := Read("dir/top.ini", []byte("INCLUDE none.ini\n"), open); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that the file is not there", err)
	}
}

func TestWhatIsNoConfiguration(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"x.yaml", "a: [1", "not YAML"},
		{"x.json", "{", "not JSON"},
		{"x.json", "", "nothing"},
		{"x.yaml", "- 1", "want sections"},
		{"x.yaml", "K2HFTFUSE: {}\n---\nK2HTPDTOR: {}\n", "x.yaml:3: got a second document"},
		{"x.json", "{\"K2HFTFUSE\": {}}\n{\"K2HTPDTOR\": {}}", "not JSON"},
		{"x.json", "{\"K2HFTFUSE\": {}} and more", "x.json:1: not JSON"},
		{"x.yaml", "---\n", "nothing"},
		{"x.yaml", "K2HFTFUSE: 7", "want a section"},
		{"x.yaml", "K2HFTFUSE: {ALLOW: {a: b}}", "want a value"},
		{"x.ini", "a\x00b", "NUL"},
		{"x.ini", strings.Repeat("#", maxText+1), "bytes"},
	}
	for _, test := range tests {
		if _, err := Read(test.name, []byte(test.text), nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %.20q: got %v, want %s", test.name, test.text, err, test.want)
		}
	}
	c, err := Read("x.ini", []byte("[GLOBAL]\nPORT = 1\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Translate(c, nil, Options{}); !errors.Is(err, ErrNothing) {
		t.Errorf("got %v, want ErrNothing", err)
	}
}

// Files that Windows has seen, by hand: a byte order mark and CR LF; in YAML an empty document behind.
func TestFilesFromWindows(t *testing.T) {
	open := func(string) ([]byte, error) {
		return []byte("\xef\xbb\xbf[K2HFTFUSE_RULE]\r\nTARGET = \"a b\" # so\r\nTRUNS = on\r\n"), nil
	}
	yaml := "\xef\xbb\xbfK2HFTFUSE:\r\n  K2HFTFUSE_RULE:\r\n    - TARGET: a b\r\n      TRUNS: \"on\"\r\n---\r\n"
	for name, text := range map[string]string{"x.ini": "\xef\xbb\xbf[K2HFTFUSE]\r\nINCLUDE = y.ini\r\n", "x": "\xef\xbb\xbf[K2HFTFUSE]\r\nINCLUDE y.ini\r\n", "x.yaml": yaml, "x.conf.yml": yaml} {
		c, err := Read(name, []byte(text), open)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r, err := Translate(c, nil, Options{})
		if err != nil || !strings.Contains(r.Sender, `match: ["a b"]`) || !strings.Contains(r.Sender, "otherwise: deny") || r.Report.Count(Unknown) > 0 {
			t.Errorf("%s: got %v\n%s\nwant a rule for %q", name, err, r.Sender, "a b")
		}
	}
}

// The walk-through of the original's manual has names of servers that are no YAML.
func TestNamesWithoutQuotes(t *testing.T) {
	text := "SVRNODE:\n    [\n        {\n            NAME:    foo[0-2,x].example.com,\n            SSL:  no\n        }\n    ]\n" +
		"K2HFTFUSE:\n    {\n        K2HFTFUSE_RULE: [ { TARGET: access.log, TRUNS: on, DEFAULTALL: ALLOW }, ],\n    }\n"
	c, err := Read("x.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Translate(c, nil, Options{})
	if err != nil || !strings.Contains(r.Sender, "address: foo0.example.com:24747") || !strings.Contains(r.Sender, "foox.example.com") {
		t.Errorf("got %v\n%s\nwant all servers", err, r.Sender)
	}
}
