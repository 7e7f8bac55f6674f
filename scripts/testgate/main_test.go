package main

import (
	"bytes"
	"strings"
	"testing"
)

const passing = `{"Action":"start","Package":"a"}
{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"pass","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Output":"PASS\n"}
{"Action":"output","Package":"a","Output":"ok  \ta\t0.1s\n"}
{"Action":"pass","Package":"a"}
{"Action":"output","Package":"b","Output":"?   \tb\t[no test files]\n"}
{"Action":"skip","Package":"b"}
`

const skipping = `{"Action":"output","Package":"c","Test":"TestY","Output":"    y_test.go:3: needs a thing\n"}
{"Action":"output","Package":"c","Test":"TestY","Output":"--- SKIP: TestY (0.00s)\n"}
{"Action":"skip","Package":"c","Test":"TestY"}
{"Action":"output","Package":"c","Output":"ok  \tc\t0.1s\n"}
{"Action":"pass","Package":"c"}
`

const failing = `{"ImportPath":"d","Action":"build-output","Output":"d.go:1: no\n"}
{"Action":"output","Package":"d","Output":"FAIL\td [build failed]\n"}
{"Action":"fail","Package":"d"}
`

const long = `{"Action":"pass","Package":"e","Test":"TestA","Elapsed":3}
{"Action":"pass","Package":"e","Test":"TestB/part","Elapsed":130}
{"Action":"pass","Package":"e","Test":"TestB","Elapsed":130.4}
{"Action":"output","Package":"e","Output":"ok  \te\t133s\n"}
{"Action":"pass","Package":"e","Elapsed":133}
`

func TestReadsEvents(t *testing.T) {
	for _, c := range []struct {
		name, in, out string
		passed        int
		skipped       string
	}{
		{"passing", passing, "ok  \ta\t0.1s\n?   \tb\t[no test files]\n", 1, ""},
		{"skipping", skipping, "    y_test.go:3: needs a thing\n--- SKIP: TestY (0.00s)\nok  \tc\t0.1s\n", 0,
			"c TestY: y_test.go:3: needs a thing"},
		{"failing", failing, "d.go:1: no\nFAIL\td [build failed]\n", 0, ""},
		{"long", long, "ok  \te\t133s\ntestgate: warning: e took longer than 120 s: TestB 130, TestA 3\n", 3, ""},
		{"not json", "go: downloading x\n", "go: downloading x\n", 0, ""},
		{"without the last line end", `{"Action":"pass","Package":"a","Test":"TestX"}`, "", 1, ""},
	} {
		var out bytes.Buffer
		g := gate{out: &out, packages: map[string]*pkg{}}
		if err := g.read(strings.NewReader(c.in)); err != nil {
			t.Fatal(err)
		}
		if out.String() != c.out || g.passed != c.passed || strings.Join(g.skipped, ";") != c.skipped {
			t.Errorf("%s: printed %q, passed %d, skipped %q; want %q, %d, %q", c.name, out.String(), g.passed, g.skipped,
				c.out, c.passed, c.skipped)
		}
	}
}
