package config

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ftfuse/internal/record"
)

// everything gives values to what is empty by default.
const everything = `
mounts: [{name: log, path: /m}]
rules:
  - name: web
    match: ["web/**"]
    line_end: crlf
    join: {continue: '^\s'}
    too_long: truncate
    batch: {bytes: 64KiB, records: 100, wait: 2s}
    filters:
      - {action: deny, contains: "GET /health\0", uids: [0, 12], not: true, hosts: []}
      - {action: allow, field: level, is: [ERROR, "a, b", "true"], targets: [alarm, default]}
      - {action: rewrite, match: '^(\S+): "(.*)"$', rewrite: "$1 #\n $2 "}
      - {action: redact, redact: [card, order], with: "[x]"}
    otherwise: deny
    sample: 3
    limits:
      - {per: uid, bytes: 1MiB}
      - {records: 5, burst: 1m}
targets: [{name: default, address: "localhost:1"}]
outputs:
  - name: alarm
    type: plugin
    format: json
    plugin: {command: [/bin/sh, -c, "cat; exit 1 # {}"], environment: ["A=b c", B=], user: 12, restart: {max: 5m}, memory: 64MiB}
patterns: [{name: order, match: '\bORD-[0-9]{8}\b'}]
tests:
  - {name: a, path: web/a.log, uid: 12, in: "x\ny z\0\n", out: [{target: default, text: "- x\n"}, {target: alarm}]}
`

func TestEverythingShownLoadsAgain(t *testing.T) {
	first, report, err := LoadSender(Sources{Text: everything})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := report.Show(&b, true); err != nil {
		t.Fatal(err)
	}
	second, _, err := LoadSender(Sources{Text: b.String()})
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if !reflect.DeepEqual(first, second) {
		t.Errorf("got  %+v\nwant %+v\n%s", second, first, b.String())
	}
	for _, want := range []string{"uids:  # FTFUSE_CONFIG_JSON:11", "burst: 1m  # FTFUSE_CONFIG_JSON:19", "quota: 0  # default"} {
		if !regexp.MustCompile(regexp.QuoteMeta(strings.Replace(want, "  #", " #", 1))).MatchString(spaces.ReplaceAllString(b.String(), " ")) {
			t.Errorf("shown configuration lacks %q:\n%s", want, b.String())
		}
	}
}

var spaces = regexp.MustCompile(" +")

func TestAnyTextShownReadsAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		_, report, err := LoadSender(Sources{})
		if err != nil {
			t.Fatal(err)
		}
		c := DefaultSender()
		c.Tests = []Test{{Name: "a", Path: "a", In: "x" + text, Out: []Expect{{Target: "default", Text: text}, {Target: "b", Text: text}}}}
		report.resolved = &c
		var b bytes.Buffer
		if err := report.Show(&b, false); err != nil {
			t.Fatal(err)
		}
		l, problems := readYAML("shown", b.Bytes(), reflect.TypeFor[Sender]())
		if len(problems) > 0 {
			t.Fatalf("%q: %v", text, problems)
		}
		test := l.values["tests"].([]any)[0].(map[string]any)
		if out := test["out"].([]any)[1].(map[string]any); test["in"] != "x"+text || out["text"] != text {
			t.Fatalf("got %q and %q, want %q", test["in"], out["text"], text)
		}
	})
}

func TestListsWithoutNamesAreReplaced(t *testing.T) {
	file := t.TempDir() + "/sender.yaml"
	write(t, file, everything)
	dropIn := strings.TrimSuffix(file, ".yaml") + ".d/x.yaml"
	write(t, dropIn, "rules:\n  - name: web\n    filters: [{action: redact, redact: [email]}]\n")
	c, report, err := LoadSender(Sources{File: file, Environ: []string{
		`FTFUSE_RULES_WEB_LIMITS=[{records: 7}, {"per": "unit", "quota": "1GiB"}]`,
		"FTFUSE_OUTPUTS_ALARM_PLUGIN_ENVIRONMENT=C=1, D=2",
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := c.Rules[0]
	if len(r.Filters) != 1 || r.Filters[0].With != "***" || !slices.Equal(r.Filters[0].Redact, []string{"email"}) || r.Otherwise != "deny" {
		t.Errorf("filters = %+v, want the one of the drop-in alone", r.Filters)
	}
	want := []Limit{
		{Per: "rule", Records: 7, Burst: 10 * time.Second, Every: 24 * time.Hour},
		{Per: "unit", Quota: 1 << 30, Burst: 10 * time.Second, Every: 24 * time.Hour},
	}
	if !reflect.DeepEqual(r.Limits, want) {
		t.Errorf("limits = %+v, want %+v", r.Limits, want)
	}
	if e := c.Outputs[0].Plugin.Environment; !slices.Equal(e, []string{"C=1", "D=2"}) {
		t.Errorf("environment = %q", e)
	}
	for path, want := range map[string]Origin{
		"rules[web].filters[1].redact":   {File: dropIn, Line: 3},
		"rules[web].filters[1].contains": {File: dropIn, Line: 3}, // not where the list that was replaced had it
		"rules[web].filters[2].action":   {File: dropIn, Line: 3},
		"rules[web].limits[2].quota":     {Env: "FTFUSE_RULES_WEB_LIMITS"},
	} {
		if got := report.place(path); got != want {
			t.Errorf("%s is from %v, want %v", path, got, want)
		}
	}
}

func TestMistakesInListsOfTheEnvironment(t *testing.T) {
	for text, want := range map[string]string{
		"[{action: deny, contans: x}]": "rules[default].filters[1].contans: unknown key",
		"[{action: deny}, {}]":         "rules[default].filters[2].action: is missing, want allow, deny, rewrite, redact or route",
		"deny":                         `rules[default].filters: got "deny", want a list`,
		"[{action: deny":               "not YAML: did not find expected ',' or '}'",
	} {
		_, _, err := LoadSender(Sources{Environ: []string{"FTFUSE_RULES_DEFAULT_FILTERS=" + text}})
		if want = "environment FTFUSE_RULES_DEFAULT_FILTERS: " + want; err == nil || err.Error() != want {
			t.Errorf("%s: got  %v\nwant %s", text, err, want)
		}
	}
}

// Aliases can make of a few kilobytes more filters than fit into memory.
func TestAliasesAreCounted(t *testing.T) {
	var b strings.Builder
	b.WriteString("rules:\n  - name: first\n    match: &m [" + strings.Repeat("a,", 2000) + "]\n    filters: &f [&d {action: deny}" + strings.Repeat(",*d", 2000) + "]\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "  - {name: r%d, match: *m, filters: *f}\n", i)
	}
	l, problems := readYAML("bomb", []byte(b.String()), reflect.TypeFor[Sender]())
	if len(problems) != 1 || !strings.Contains(problems[0].Text, "got more than 1048576 values") {
		t.Errorf("got %d problems, want one about the number of values: %.300s", len(problems), problems.Error())
	}
	if n := len(l.values["rules"].([]any)); n > 100 {
		t.Errorf("%d rules were read", n)
	}
}

func TestDecisions(t *testing.T) {
	c, _, err := LoadSender(Sources{Text: everything})
	if err != nil {
		t.Fatal(err)
	}
	o := c.RuleOptions()
	want := record.Decision{
		Send: true, LineEnd: record.CRLF, Join: record.Join{Continue: `^\s`, Wait: time.Second, Lines: 1000},
		MaxRecord: record.MaxChunk, TooLong: record.Truncate, MaxAge: 5 * time.Second,
		Gather:   record.Gather{Bytes: 64 << 10, Records: 100, Wait: 2 * time.Second},
		Readback: 16 << 20, Block: 10 * time.Second, Targets: []string{"default"},
	}
	if got := o.Rules[0].Decision; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !slices.Equal(o.Default.Targets, []string{"default"}) {
		t.Errorf("what no rule matches goes to %v", o.Default.Targets)
	}
	c.Targets = nil
	if got := c.RuleOptions().Default.Targets; !slices.Equal(got, []string{"alarm"}) {
		t.Errorf("without targets, what no rule matches goes to %v, want the first output", got)
	}
}

func TestNothingLeavesTheMachine(t *testing.T) {
	c, report, err := LoadSender(Sources{Text: "targets: []\nrules: [{name: all, match: ['**'], targets: [copy]}]\noutputs: [{name: copy, base: /srv/copies}]\n"})
	if err != nil || len(c.Targets) != 0 {
		t.Fatal(c, err)
	}
	for _, w := range report.Warnings {
		if !strings.HasPrefix(w.Key, "queue.") {
			t.Error(w)
		}
	}
	if path := c.Outputs[0].Path; path != "{path}" {
		t.Errorf("a sender's copies lie at %s by default, want {path}", path)
	}
}

// The comments of the shipped files are to be used by taking away their marks.
func TestExamplesOfShippedFiles(t *testing.T) {
	empty, comment := regexp.MustCompile(`^( *\w+:) \[\]`), regexp.MustCompile(`^( *)#(  .*)`)
	for _, s := range shipped {
		text, err := os.ReadFile(s.file)
		if err != nil {
			t.Fatal(err)
		}
		lines, found, inside := strings.Split(string(text), "\n"), 0, false
		for i, line := range lines {
			m := comment.FindStringSubmatch(line)
			if m != nil && i > 0 && empty.MatchString(lines[i-1]) {
				lines[i-1], inside, found = empty.FindStringSubmatch(lines[i-1])[1], true, found+1
			}
			if inside = inside && m != nil; inside {
				lines[i] = m[1] + " " + m[2]
			}
		}
		used := strings.Join(lines, "\n")
		var report *Report
		if s.file == "../../etc/sender.yaml" {
			_, report, err = LoadSender(Sources{Text: used})
		} else {
			_, report, err = LoadReceiver(Sources{Text: used})
		}
		if err != nil || found < 3 {
			t.Errorf("%s: %d examples: %v\n%s", s.file, found, err, used)
		}
		for _, w := range report.Warnings {
			if !strings.HasPrefix(w.Key, "queue.") && !strings.Contains(w.Text, "cannot run") {
				t.Errorf("%s: %v", s.file, w)
			}
		}
	}
}
