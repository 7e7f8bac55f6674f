package filter

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"ftfuse/internal/record"
)

func mustNew(t testing.TB, o Options) *Set {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// apply says what becomes of rec: "drop", or its text and, when these are not the rule's own, its targets.
func apply(s *Set, c *Chain, rec string) string {
	v := c.Apply([]byte(rec), 0, new(Scratch))
	if !v.Keep {
		return "drop"
	}
	text := rec
	if v.Text != nil {
		text = string(v.Text)
	}
	if v.Targets != s.Own() {
		text += " > " + strings.Join(s.Names(v.Targets), " ")
	}
	return text
}

func TestActions(t *testing.T) {
	for _, c := range []struct {
		name    string
		filters []Filter
		rec     string
		want    string
	}{
		{"none", nil, "a\n", "a\n"},
		{"deny", []Filter{{Action: Deny, Contains: "a"}}, "a\n", "drop"},
		{"first decides", []Filter{{Action: Allow, Contains: "a"}, {Action: Deny}}, "a\n", "a\n"},
		{"next decides", []Filter{{Action: Allow, Contains: "a"}, {Action: Deny}}, "b\n", "drop"},
		{"allow with targets", []Filter{{Action: Allow, Targets: []string{"x"}}}, "a\n", "a\n > x"},
		{"allow with rewrite", []Filter{{Action: Allow, Match: `^(\w+) (?P<rest>.*)$`, Rewrite: "${rest}/$1$$"}}, "a b c\r\n", "b c/a$\r\n"},
		{"rewrite goes on", []Filter{{Action: Rewrite, Match: "a(.)", Rewrite: "$1x"}, {Action: Deny, Prefix: "ab"}, {Action: Allow, Prefix: "bx"}}, "ab\n", "bx\n"},
		{"rewrite of all", []Filter{{Action: Rewrite, Match: "b", Rewrite: "[$0]"}}, "abc\n", "[b]\n"},
		{"rewrite without a line end", []Filter{{Action: Rewrite, Match: "b()", Rewrite: "$1"}}, "abc", ""},
		{"rewrite of an unmatched group", []Filter{{Action: Rewrite, Match: "(x)?b", Rewrite: "<$1>"}}, "b\n", "<>\n"},
		{"rewrite by what a redaction left", []Filter{{Action: Redact, Redact: []string{"ipv4"}, With: "IP"}, {Action: Rewrite, Match: "IP (.*)", Rewrite: "$1"}}, "10.0.0.1 x\n", "x\n"},
		{"route", []Filter{{Action: Route, Contains: "a", Targets: []string{"x"}}, {Action: Route, Targets: []string{"own", "y"}}}, "a\n", "a\n > own x y"},
		{"route and allow", []Filter{{Action: Route, Targets: []string{"x"}}, {Action: Allow, Targets: []string{"y"}}}, "a\n", "a\n > x y"},
		{"route and deny", []Filter{{Action: Route, Targets: []string{"x"}}, {Action: Deny}}, "a\n", "drop"},
		{"redact twice", []Filter{{Action: Redact, Redact: []string{"own", "email"}, With: "#"}}, "id=7 a@b.de id=8\n", "id=# # id=#\n"},
		{"redact what overlaps", []Filter{{Action: Redact, Redact: []string{"whole", "own"}}}, "id=7 x\n", "*** x\n"},
		{"redact where", []Filter{{Action: Redact, Redact: []string{"own"}, Contains: "user"}}, "id=7\n", "id=7\n"},
		{"NUL", []Filter{{Action: Rewrite, Match: "^a$", Rewrite: "b"}}, "a\x00", "b\x00"},
		{"CR", []Filter{{Action: Rewrite, Match: "^a$", Rewrite: "b"}}, "a\r", "b\r"},
		{"joined", []Filter{{Action: Deny, Match: "a.b"}, {Action: Deny, Match: "^b"}, {Action: Rewrite, Match: "(?s)^a.b$", Rewrite: "c"}}, "a\nb\n", "c\n"},
		{"joined, by lines", []Filter{{Action: Deny, Match: "(?m)^b"}}, "a\nb\n", "drop"},
		{"no line end", []Filter{{Action: Deny, Contains: "\n"}}, "a\n", "a\n"},
	} {
		s := mustNew(t, Options{Filters: c.filters, Targets: []string{"own"}, Patterns: []Pattern{{"own", `id=(?P<secret>\d)`}, {"whole", `id=\d`}}})
		if got := apply(s, s.For(nil, nil, ""), c.rec); got != c.want {
			t.Errorf("%s: %q becomes %q, want %q", c.name, c.rec, got, c.want)
		}
	}
}

func TestConditions(t *testing.T) {
	writer := &record.Writer{Kind: record.Opener, UID: 33, Unit: "nginx.service", Comm: "nginx"}
	file := &record.File{Mount: "logs", Path: "web/access.log"}
	for _, c := range []struct {
		f    Filter
		want bool
	}{
		{Filter{Contains: "GET"}, true}, {Filter{Contains: "get"}, false},
		{Filter{Prefix: "GET"}, true}, {Filter{Prefix: "ET"}, false},
		{Filter{Match: `(?i)get /\w`}, true}, {Filter{Match: `/$`}, false}, {Filter{Match: `=7$`}, true},
		{Filter{Match: "^GET"}, true}, {Filter{Match: "^ET"}, false}, {Filter{Match: "T /"}, true},
		{Filter{Field: "id"}, true}, {Filter{Field: "no"}, false},
		{Filter{Field: "id", Is: []string{"8", "7"}}, true}, {Filter{Field: "id", Is: []string{"8"}}, false},
		{Filter{Contains: "GET", Prefix: "GET", Match: "id", Field: "id"}, true},
		{Filter{Contains: "GET", Prefix: "no"}, false},
		{Filter{Not: true, Contains: "no"}, true}, {Filter{Not: true, Contains: "GET"}, false},
		{Filter{Not: true, Contains: "no", Match: "GET"}, false}, {Filter{Not: true, Contains: "no", Prefix: "no"}, true},
		{Filter{Not: true, Field: "id", Is: []string{"8"}}, true}, {Filter{Not: true, Field: "id", Is: []string{"7"}}, false},
		{Filter{UIDs: []uint32{0, 33}}, true}, {Filter{UIDs: []uint32{0}}, false},
		{Filter{Units: []string{"ngin?.*"}}, true}, {Filter{Units: []string{"sshd.service"}}, false},
		{Filter{Commands: []string{"ng*"}}, true}, {Filter{Commands: []string{"N*"}}, false},
		{Filter{Paths: []string{"a", "web/**"}}, true}, {Filter{Paths: []string{"*.log"}}, false},
		{Filter{Hosts: []string{"web[0-9]"}}, true}, {Filter{Hosts: []string{"db*"}}, false},
		{Filter{Hosts: []string{"web1"}, UIDs: []uint32{1}}, false},
		{Filter{Hosts: []string{"db1"}, Not: true, Contains: "no"}, false},
	} {
		c.f.Action = Deny
		s := mustNew(t, Options{Filters: []Filter{c.f}})
		if got := apply(s, s.For(writer, file, "web1"), "GET /x id=7\n") == "drop"; got != c.want {
			t.Errorf("%+v holds: %v, want %v", c.f, got, c.want)
		}
	}
}

// What is not known meets no condition that asks for it: uid 0 of an unknown writer is not root.
func TestUnknownWriter(t *testing.T) {
	for _, f := range []Filter{{UIDs: []uint32{0}}, {Units: []string{"*"}}, {Commands: []string{"*"}}, {Paths: []string{"**"}}, {Hosts: []string{"*"}}} {
		f.Action = Deny
		s := mustNew(t, Options{Filters: []Filter{f}})
		for _, w := range []*record.Writer{nil, {}} {
			if v, ok := s.For(w, nil, "").Fixed(); !ok || !v.Keep {
				t.Errorf("%+v: got verdict %+v, %v, want a record that is kept", f, v, ok)
			}
		}
	}
}

func TestFixedAndTrivial(t *testing.T) {
	root := []uint32{0}
	for _, c := range []struct {
		o                     Options
		set, trivial, isFixed bool
	}{
		{Options{}, true, true, true},
		{Options{Sample: 2}, false, false, false},
		{Options{Otherwise: Deny}, false, false, true},
		{Options{Filters: []Filter{{Action: Deny, UIDs: root}}}, false, false, true},
		{Options{Filters: []Filter{{Action: Deny, UIDs: []uint32{1}, Contains: "x"}}}, false, true, true},
		{Options{Filters: []Filter{{Action: Allow}, {Action: Deny, Contains: "x"}}}, false, true, true},
		{Options{Filters: []Filter{{Action: Deny, Contains: "x"}}}, false, false, false},
		{Options{Filters: []Filter{{Action: Redact, Redact: []string{"card"}}}}, false, false, false},
		{Options{Filters: []Filter{{Action: Route, Targets: []string{"x"}}}}, false, false, true},
	} {
		s := mustNew(t, c.o)
		chain := s.For(&record.Writer{Kind: record.Opener}, nil, "")
		if _, ok := chain.Fixed(); s.Trivial() != c.set || chain.Trivial() != c.trivial || ok != c.isFixed {
			t.Errorf("%+v: got trivial %v, chain trivial %v, fixed %v, want %v, %v, %v", c.o, s.Trivial(), chain.Trivial(), ok, c.set, c.trivial, c.isFixed)
		}
	}
}

func TestSample(t *testing.T) {
	s := mustNew(t, Options{Sample: 10, Filters: []Filter{{Action: Deny, Contains: "b"}}})
	c, passed := s.For(nil, nil, ""), 0
	for i := range uint64(20000) {
		key := Key(7, i*128) // lines of one length
		v := c.Apply([]byte("a\n"), key, new(Scratch))
		if v.Keep {
			passed++
		} else if v.By != BySample {
			t.Fatalf("dropped by %d, want the sample", v.By)
		}
		if again := c.Apply([]byte("a\n"), key, new(Scratch)); again.Keep != v.Keep {
			t.Fatalf("record %d: %v, then %v", i, v.Keep, again.Keep)
		}
	}
	if passed < 1800 || passed > 2200 {
		t.Errorf("%d of 20000 records passed, want about 2000", passed)
	}
}

func TestTextIsBounded(t *testing.T) {
	o := Options{Filters: []Filter{{Action: Redact, Redact: []string{"own"}, With: strings.Repeat("x", 100)}}, Patterns: []Pattern{{"own", "a"}}}
	for range 14 {
		o.Filters = append(o.Filters, Filter{Action: Rewrite, Match: "(?s).*", Rewrite: "$0$0"})
	}
	s := mustNew(t, o)
	v := s.For(nil, nil, "").Apply([]byte("aaa\r\n"), 0, new(Scratch))
	if !v.Cut || len(v.Text) != record.MaxChunk || !strings.HasSuffix(string(v.Text), "x\r\n") {
		t.Errorf("got cut %v and %d bytes, want %d with their line end", v.Cut, len(v.Text), record.MaxChunk)
	}
}

func TestManyTargets(t *testing.T) {
	var o Options
	for i := range MaxTargets {
		o.Filters = append(o.Filters, Filter{Action: Route, Targets: []string{fmt.Sprint("t", i)}})
	}
	s := mustNew(t, o)
	v, ok := s.For(nil, nil, "").Fixed()
	if !ok || len(s.Names(v.Targets)) != MaxTargets || v.Targets != ^Targets(0) {
		t.Errorf("got targets %x, want all %d", v.Targets, MaxTargets)
	}
	o.Targets = []string{"own"}
	var p *Problem
	if _, err := New(o); !errors.As(err, &p) || p.Key != "targets" || p.Index != MaxTargets-1 {
		t.Errorf("New with one more = %v, want a problem with the targets of the last filter", err)
	}
}
