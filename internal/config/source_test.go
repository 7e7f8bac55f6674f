package config

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/record"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const layered = `
host: base
rules:
  - {name: logs, match: ["**/*.log"], expire: 7d, capture: write, when_full: block}
  - {name: default, match: ["**"]}
targets:
  - {name: default, address: "127.0.0.1:1", timeouts: {connect: 1s}}
`

func TestDropInsAndEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sender.yaml")
	write(t, file, layered)
	d := strings.TrimSuffix(file, ".yaml") + ".d/"
	write(t, d+"10-a.yaml", "rules: [{name: logs, expire: 1d12h, match: ['x/*.log']}, {name: new, match: [new]}]\n")
	write(t, d+"20-b.yaml", "targets: [{name: default, timeouts: {write: 2s}}]\nqueue: {max_size: 1GiB}\n")
	write(t, d+"30-c.yaml.off", "this is not read")
	write(t, d+".40-d.yaml", "nor is this")
	c, report, err := LoadSender(Sources{File: file, Environ: []string{
		"FTFUSE_QUEUE_MAX_SIZE=2GiB", "FTFUSE_TARGETS_DEFAULT_ADDRESS=localhost:9", "FTFUSE_HOST=env",
		"FTFUSE_RULES_NEW_MATCH=a/*, b/*", "FTFUSE_LISTEN=:1", "FTFUSE_QEUE_MAX_SIZE=1", "PATH=/bin",
	}})
	if err != nil {
		t.Fatal(err)
	}
	rule := c.Rules[0]
	if rule.Expire != 36*time.Hour || rule.Capture != record.WriteMode || !slices.Equal(rule.Match, []string{"x/*.log"}) {
		t.Errorf("rule logs = %+v, want it merged from file and drop-in", rule)
	}
	if got := names(c.Rules, func(r Rule) string { return r.Name }); !slices.Equal(got, []string{"logs", "default", "new"}) {
		t.Errorf("rules = %v, want those of the file, then the new one", got)
	}
	if m := c.Rules[2].Match; !slices.Equal(m, []string{"a/*", "b/*"}) || !slices.Equal(c.Rules[2].Targets, []string{"default"}) {
		t.Errorf("rule new = %+v, want patterns of the environment and defaults for the rest", c.Rules[2])
	}
	want := Timeouts{Connect: time.Second, Write: 2 * time.Second, Ack: time.Minute}
	if c.Targets[0].Timeouts != want || c.Targets[0].Address != "localhost:9" {
		t.Errorf("target = %+v, want timeouts %+v of three sources", c.Targets[0], want)
	}
	if c.Queue.MaxSize != 2<<30 || c.Host != "env" {
		t.Errorf("max_size %s, host %s: want what the environment says", c.Queue.MaxSize, c.Host)
	}
	if !slices.Equal(report.Files, []string{file, d + "10-a.yaml", d + "20-b.yaml"}) {
		t.Errorf("files = %v", report.Files)
	}
	checkShown(t, report, file, d)
	var doubts Problems
	for _, w := range report.Warnings {
		if w.Origin.Env != "" {
			doubts = append(doubts, w)
		}
	}
	if len(doubts) != 1 || doubts[0].Hint != "did you mean FTFUSE_QUEUE_MAX_SIZE?" {
		t.Errorf("warnings about the environment = %v, want one about the misspelt name", doubts)
	}
}

func checkShown(t *testing.T, report *Report, file, dropIns string) {
	t.Helper()
	var b bytes.Buffer
	if err := report.Show(&b, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"host: env", "# environment FTFUSE_HOST", "expire: 36h", "# " + dropIns + "10-a.yaml:1",
		"capture: write", "# " + file + ":4", "max_record: 1MiB", "# default",
	} {
		if !strings.Contains(strings.ReplaceAll(b.String(), "expire: 36h", "expire: 36h"), want) {
			t.Errorf("shown configuration lacks %q:\n%s", want, b.String())
		}
	}
}

func TestShownConfigurationLoadsAgain(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/sender.yaml", strings.Replace(layered, "base", `"true"`, 1)+
		"state_dir: '/a, b #c'\nmounts: [{name: a, path: /m, umask: 0027, uid: 12}]\ntests: [{name: t, path: x, in: !!binary LP8A}]\nspool_dir: \"/s p\\u00e9\\n\"\n")
	first, report, err := LoadSender(Sources{File: dir + "/sender.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	if in := first.Tests[0].In; in != ",\xff\x00" {
		t.Errorf("got %q of !!binary", in)
	}
	var b bytes.Buffer
	if err := report.Show(&b, true); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/again.yaml", b.String())
	second, _, err := LoadSender(Sources{File: dir + "/again.yaml"})
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if !reflect.DeepEqual(first, second) {
		t.Errorf("got  %+v\nwant %+v\n%s", second, first, b.String())
	}
}

func TestNamedListsOfTheFileReplaceTheDefaults(t *testing.T) {
	c, _, err := LoadSender(Sources{Text: `{"mounts": [{"name": "web", "path": "/srv/web"}]}`})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Mounts) != 1 || c.Mounts[0].Name != "web" || !c.Mounts[0].AllowOther || c.Mounts[0].Existing != "send" {
		t.Errorf("mounts = %+v, want one with defaults for the rest", c.Mounts)
	}
	if len(c.Rules) != 2 || c.Rules[0].Name != "rotated" {
		t.Errorf("rules = %+v, want the default ones", c.Rules)
	}
}

func TestErrorsInDropInsNameTheDropIn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sender.yaml")
	write(t, file, layered)
	dropIn := strings.TrimSuffix(file, ".yaml") + ".d/x.yaml"
	write(t, dropIn, "rules:\n  - name: logs\n    capture: open\n")
	_, _, err := LoadSender(Sources{File: file})
	want := file + ":4: rules[logs].when_full: block does not go with capture open"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	write(t, dropIn, "\nrules: 7\n")
	if _, _, err := LoadSender(Sources{File: file}); err == nil || !strings.HasPrefix(err.Error(), dropIn+":2: rules: ") {
		t.Errorf("got %v, want a place in %s", err, dropIn)
	}
}

func TestEnvironmentErrors(t *testing.T) {
	_, _, err := LoadSender(Sources{Environ: []string{"FTFUSE_QUEUE_DURABILITY=dsk", "FTFUSE_RULES_DEFAULT_MATCH=/x"}})
	want := `environment FTFUSE_QUEUE_DURABILITY: queue.durability: got "dsk", want memory, os or disk
environment FTFUSE_RULES_DEFAULT_MATCH: rules[default].match: got "/x", want a path relative to the mount, without / at an end`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestLocate(t *testing.T) {
	for _, c := range []struct {
		file    string
		environ []string
		want    Sources
		bad     bool
	}{
		{want: Sources{File: "/etc/ftfuse/sender.yaml"}},
		{file: "/x", environ: []string{"FTFUSE_CONFIG=/y"}, want: Sources{File: "/x"}},
		{environ: []string{"FTFUSE_CONFIG=/y"}, want: Sources{File: "/y"}},
		{environ: []string{"FTFUSE_CONFIG_JSON={}"}, want: Sources{Text: "{}"}},
		{environ: []string{"FTFUSE_CONFIG_JSON={}", "FTFUSE_CONFIG=/y"}, bad: true},
	} {
		got, err := Locate(RoleSender, c.file, c.environ)
		c.want.Environ = c.environ
		if (err != nil) != c.bad || err == nil && !reflect.DeepEqual(got, c.want) {
			t.Errorf("Locate(%q, %v) = %+v, %v, want %+v", c.file, c.environ, got, err, c.want)
		}
	}
}

func TestGuess(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		text string
		want Role
	}{
		"a.yaml":               {"mounts: []\n", RoleSender},
		"b.yaml":               {`{"listen": []}`, RoleReceiver},
		"c.yaml":               {"rules:\n  - name: a\n    limits: []\n", RoleSender},
		"d.yaml":               {"outputs:\n  - name: a\nrules:\n  - name: a\nlisten: [':1']\n", RoleReceiver},
		"relay.yaml":           {"queue: {}\nlisten: [':1']\ntargets: []\nrules: []\n", RoleReceiver},
		"insecure.yaml":        {"insecure: true\ntargets: []\n", RoleReceiver},
		"receiver.d/up.yaml":   {"targets: []\nqueue: {}\nrules: []\n", RoleReceiver},
		"broken.yaml":          {"mounts: [\n  listen: 1\n", RoleSender},
		"sender.d/out.yaml":    {"outputs: []\n", RoleSender},
		"receiver-site.yaml":   {"log: {level: info}\n", RoleReceiver},
		"sender.d/x.yaml":      {"log: {level: info}\n", RoleSender},
		"nothing-to-go-by.yml": {"log: {level: info}\n", ""},
	} {
		write(t, filepath.Join(dir, name), c.text)
		if got, err := Guess(filepath.Join(dir, name)); got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("Guess(%s) = %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func TestMissingFile(t *testing.T) {
	_, _, err := LoadSender(Sources{File: "/does/not/exist.yaml"})
	if err == nil || err.Error() != "/does/not/exist.yaml: cannot read it: no such file or directory" {
		t.Errorf("got %v", err)
	}
}
