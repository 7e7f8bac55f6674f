package k2hft

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ftfuse/internal/config"
)

func sample(t testing.TB, name string) *Config {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Read(name, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The same configuration in three syntaxes is the same one of ours.
func TestThreeSyntaxes(t *testing.T) {
	var senders []*config.Sender
	var receivers []*config.Receiver
	for _, end := range []string{".ini", ".yaml", ".json"} {
		r, err := Translate(sample(t, "sender"+end), sample(t, "receiver"+end), Options{Mountpoint: "/mnt/logs"})
		if err != nil {
			t.Fatalf("%s: %v", end, err)
		}
		s, _, err := config.LoadSender(config.Sources{Text: r.Sender})
		if err != nil {
			t.Fatalf("%s: %v\n%s", end, err, r.Sender)
		}
		v, _, err := config.LoadReceiver(config.Sources{Text: r.Receiver})
		if err != nil {
			t.Fatalf("%s: %v\n%s", end, err, r.Receiver)
		}
		if n := r.Report.Count(Unknown); n > 0 {
			t.Errorf("%s: %d keys are unknown: %+v", end, n, r.Report.Notes)
		}
		senders, receivers = append(senders, s), append(receivers, v)
		if !reflect.DeepEqual(s, senders[0]) || !reflect.DeepEqual(v, receivers[0]) {
			t.Errorf("%s: got\n%s\n%s\nwant what .ini gives", end, r.Sender, r.Receiver)
		}
	}
	checkSample(t, senders[0], receivers[0])
}

func checkSample(t *testing.T, s *config.Sender, r *config.Receiver) {
	t.Helper()
	if len(s.Rules) != 7 || s.Mounts[0].Path != "/mnt/logs" || s.Targets[0].Address != "localhost:24747" {
		t.Errorf("got %d rules, %+v, %+v", len(s.Rules), s.Mounts, s.Targets)
	}
	for _, want := range []struct {
		rule, match, otherwise string
		filters                int
		targets                string
	}{
		{"any-log", "any/log/*", "deny", 2, "default copy-log"},
		{"log-test-log", "log/test.log", "deny", 3, "default"},
		{"log-error-log", "log/error.log", "deny", 1, "below-log-nothing3-log"},
		{"log-nothing2-log", "log/nothing2.log", "allow", 0, "default"},
		{"log-nothing3-log", "log/nothing3.log", "allow", 0, "default copy-log"},
		{"log-plugintest-log", "log/plugintest.log", "allow", 0, "default plugin-log-plugintest-log"},
	} {
		found := false
		for _, got := range s.Rules {
			if got.Name == want.rule {
				found = true
				if got.Match[0] != want.match || got.Otherwise != want.otherwise || len(got.Filters) != want.filters || strings.Join(got.Targets, " ") != want.targets {
					t.Errorf("got %+v, want %+v", got, want)
				}
			}
		}
		if !found {
			t.Errorf("no rule %s", want.rule)
		}
	}
	if f := s.Rules[1].Filters[2]; f.Match != "(.*)([eE][rR][rR])(.*)" || f.Rewrite != "$1 = ERROR = $3" || f.Action != "allow" {
		t.Errorf("got filter %+v", f)
	}
	if last := s.Rules[6]; last.Send || last.Match[0] != "**" {
		t.Errorf("got last rule %+v", last)
	}
	o := r.Outputs[0]
	if o.Base != "/tmp/k2hftfusesvr" || o.Path != "log/unify.log" || o.Template != "%H:%F(%P):%f[%T] %L" || o.TimeFormat != "%F %T(%s %-)" {
		t.Errorf("got output %+v", o)
	}
}

// translate reads INI, and wants that what comes of it loads.
func translate(t *testing.T, text string, o Options) *Result {
	t.Helper()
	c, err := Read("x.ini", []byte(text), o.Open)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	r, err := Translate(c, nil, o)
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", text, err, r.Sender, r.Receiver)
	}
	return r
}

const one = "[K2HFTFUSE_RULE]\nTARGET=a.log\nTRUNS=on\nDEFAULTALL=ALLOW\n"

// What each key becomes, in what is written and in the report.
func TestWhatKeysBecome(t *testing.T) {
	tests := []struct {
		name, text   string
		options      Options
		want, report []string // fragments
	}{
		{"limits", "[K2HFTFUSE]\nEXPIRE=300\nTRANSLINECNT=10\nTRANSTIMEUP=3\nBYTELIMIT=1000\n" + one, Options{},
			[]string{"expire: 300s", "batch: {records: 11, wait: 3s}", "max_record: 999", "too_long: drop"}, nil},
		{"a count without a time", "[K2HFTFUSE]\nTRANSLINECNT=10\n" + one, Options{},
			[]string{"batch: {records: 11, wait: 1s}"}, []string{"without a time the original leaves lines behind"}},
		{"sections that come again", "[K2HFTFUSE]\nBINTRANS=yes\nEXPIRE=5\n[K2HTPDTOR]\nK2HTPDTOR_BROADCAST=yes\nK2HTPDTOR_FILE=/srv/a\n" +
			"[K2HFTFUSE]\nBINTRANS=yes\nEXPIRE=7\n[K2HTPDTOR]\nK2HTPDTOR_BROADCAST=no\nK2HTPDTOR_FILE=/srv/b\n[SVRNODE]\nNAME=h[1-2]\n" + one, Options{},
			[]string{"unit: binary", "expire: 7s", "policy: balance", "path: b"}, []string{"5 K2HTPDTOR_BROADCAST of [K2HTPDTOR], 2 BINTRANS, 3 EXPIRE of [K2HFTFUSE], 6 K2HTPDTOR_FILE of [K2HTPDTOR]: a later one of the same name"}},
		{"binary", "[K2HFTFUSE]\nBINTRANS=yes\nBYTELIMIT=9\n" + one + "DENY=x\n", Options{},
			[]string{"unit: binary"}, []string{"unit: binary has no lines", "left out: with BINTRANS"}},
		{"the root", "[K2HFTFUSE]\n[K2HFTFUSE_RULE_DIR]\nTARGET=/\nTRUNS=off\nOUTPUTFILE=/dev/null\nDEFAULTALL=ALLOW\n" + one, Options{},
			[]string{`match: ["*"]`, "otherwise: deny", "Taken and thrown away"}, []string{"hangs the mount"}},
		{"the last of equal targets", "[K2HFTFUSE]\n" + one + "[K2HFTFUSE_RULE]\nTARGET=a.log\nTRUNS=on\nDENY=DEBUG\nDEFAULTALL=ALLOW\n", Options{},
			[]string{"- {action: deny, contains: DEBUG}"}, []string{"has the same TARGET and holds"}},
		{"plug-in", "[K2HFTFUSE]\n" + one + "PLUGIN=LANG=C TZ=UTC /bin/sed -u s/a/b/\nOUTPUTFILE=/tmp/out.log\n", Options{},
			[]string{"command: [/bin/sed, -u, s/a/b/]", "environment: [LANG=C, TZ=UTC]", "stdout: file", "stdout_file: /tmp/out.log", "targets: [default, plugin-a-log]"}, nil},
		{"plug-in into the mount", "[K2HFTFUSE]\n" + one + "[K2HFTFUSE_RULE]\nTARGET=b.log\nPLUGIN=cat\nOUTPUTFILE=a.log\nDEFAULTALL=ALLOW\n", Options{},
			[]string{"stdout: records", "stdout_targets: [default]", "/usr/bin/cat"}, []string{"put the absolute path in its place"}},
		{"a copy in the mount by its absolute path", "[K2HFTFUSE]\n" + one + "OUTPUTFILE=/mnt/x/copies/b.log\n", Options{Mountpoint: "/mnt/x/"},
			[]string{"below: x", "base: copies", "path: b.log"}, []string{"rules are not chained"}},
		{"a copy beside ours", "[K2HFTFUSE]\n" + one + "OUTPUTFILE=/b.log\n", Options{}, []string{"base: /var/log/ftfuse-copies"}, nil},
		{"broadcast", "[K2HFTFUSE]\n[K2HTPDTOR]\nK2HTPDTOR_BROADCAST=yes\n[SVRNODE]\nNAME=h[1-3]\n" + one, Options{},
			[]string{"policy: broadcast", "- {name: h1, address: h1:24747}", "- {name: h3, address: h3:24747}"}, nil},
		{"hash with replicas", "[K2HFTFUSE]\n[GLOBAL]\nDELIVERMODE=hash\nREPLICA=2\n[SVRNODE]\nNAME=h[1-3]\n" + one, Options{},
			[]string{"policy: hash", "replicas: 2", "- {name: h3, address: h3:24747}"}, []string{"by the path of the file", "so many others may stand in"}},
		{"hash, nobody stands in", "[K2HFTFUSE]\n[GLOBAL]\nDELIVERMODE=hash\nREPLICA=0\n[SVRNODE]\nNAME=h[1-3]\n" + one, Options{},
			[]string{"policy: hash"}, []string{"any other server stands in"}},
		{"broadcast to very many", "[K2HFTFUSE]\n[K2HTPDTOR]\nK2HTPDTOR_BROADCAST=yes\nK2HTPDTOR_FILE=/srv/a\n[SVRNODE]\nNAME=h[1-70]\n" + one + "OUTPUTFILE=/srv/b\n", Options{},
			[]string{"{name: h64, ", "targets: [default, archive"}, []string{"70 servers are named"}},
		{"one of several", "[K2HFTFUSE]\n[SVRNODE]\nNAME=h[1-2]\nPORT=8020\n" + one, Options{},
			[]string{"policy: balance", "{name: h1, address: h1:24747}", "{name: h2, address: h2:24747}"}, []string{"the port of chmpx is not ours"}},
		{"keys that are not sent", "[K2HFTFUSE]\n[K2HTPDTOR]\nK2HTPDTOR_EXCEPT_KEY=dir/se\nK2HTPDTOR_EXCEPT_KEY=a\n[K2HFTFUSE_RULE_DIR]\nTARGET=dir\nTRUNS=on\nDEFAULTALL=ALLOW\n" + one, Options{},
			[]string{`match: ["dir/se*"]`, "send: false", "Not sent: K2HTPDTOR_EXCEPT_KEY, line 4"}, nil},
		{"archive", "[K2HFTFUSE]\n[K2HTPDTOR]\nK2HTPDTOR_FILE=/srv/archive.bin\n" + one, Options{},
			[]string{"targets: [default, archive]", "format: json", "base: /srv"}, nil},
		{"options", "[K2HFTFUSE]\n" + one, Options{MountOptions: "k2hftfuse /mnt/k fuse allow_other,umask=022,umask=027,uid=7,dbglevel=wan,enable_run_chmpx,strange 0 0"},
			[]string{"path: /mnt/k", "umask: 0027", "uid: 7", "level: warn"}, []string{"there is no second daemon", "strange"}},
		{"alone", "[K2HFTFUSE]\n" + one, Options{MountOptions: "nodev"}, []string{"allow_other: false"}, nil},
		{"the default denies", "[K2HFTFUSE]\n[K2HFTFUSE_RULE]\nTARGET=a\nTRUNS=on\n", Options{}, []string{"Nothing passes"}, []string{"nothing passes"}},
		{"a text in brackets", "[K2HFTFUSE]\n[K2HFTFUSE_RULE]\nTARGET=a\nTRUNS=on\nALLOW=\"[error]\"\n", Options{}, []string{`contains: "[error]"`}, []string{"it is a text"}},
		{"a part of the line", "[K2HFTFUSE]\n[K2HFTFUSE_RULE]\nTARGET=a\nTRUNS=on\nALLOW=\"ab+\"\n", Options{}, []string{"match: ab+"}, []string{"only the part that matches"}},
		{"a back-reference", "[K2HFTFUSE]\n[K2HFTFUSE_RULE]\nTARGET=a\nTRUNS=on\nALLOW=\"(a)\\1\"\nALLOW=b\n", Options{},
			[]string{"Left out: ALLOW, line 5", "contains: b"}, []string{"reference to a group", "are denied"}},
		{"longest match", "[K2HFTFUSE]\n[K2HFTFUSE_RULE]\nTARGET=a\nTRUNS=on\nALLOW=\"(a|ab).*\",\"$1\"\n", Options{}, nil, []string{"the longest match and RE2 the first"}},
		{"unknown keys", "[K2HFTFUSE]\nK2HTYP=mem\n[OTHER]\nA=b\n" + one, Options{}, nil, []string{"2 K2HTYP of [K2HFTFUSE]: is no key", "[OTHER]"}},
		{"receiver, many files", "[K2HFTFUSESVR]\nFILE_BASEDIR=/srv/in\nFORMAT=\"%q %T{x} %L\"\n", Options{},
			[]string{`listen: [":24747"]`, "base: /srv/in", `path: "{path}"`, `template: "q %T{{x} %L"`, `time_format: ""`}, []string{"%q"}},
		{"receiver, braces and escapes", "[K2HFTFUSESVR]\nFORMAT='{\"host\":\"%h\"}\\t%l\\x41\\n'\n", Options{},
			[]string{`template: '{{\"host\":\"%h\"}\t%lA\n'`}, nil},
		{"receiver, escapes without quotes", "[K2HFTFUSESVR]\nFORMAT=%l\\n\n", Options{}, []string{`template: '%l\n'`}, []string{"the original's reader takes the backslashes away"}},
		{"receiver, raw", "[K2HFTFUSESVR]\nFILE_BASEDIR=/srv/in\nFORMAT=\"%L\"\nFILE_TIMEFORM=%F\n", Options{}, nil, []string{"format: raw"}},
		{"receiver, plug-in", "[K2HFTFUSESVR]\nFILE_BASEDIR=/srv/in\nFILE_UNIFY=all.log\nPLUGIN=/bin/cat\nFORMAT=\"%H %L\"\n", Options{},
			[]string{"type: plugin", "stdout_file: /srv/in/all.log", "format: template"}, nil},
		{"relay", "[K2HFTFUSESVR]\nTYPE=trans\nFILE_BASEDIR=/srv/in\nTRANSCONF=/etc/next.ini\n", Options{Open: nextHop},
			[]string{"targets:", "far-away:24747", "outputs: []"}, []string{"TYPE trans writes no files", "the servers of that file"}},
		{"relay that writes", "[K2HFTFUSESVR]\nTYPE=both\nFILE_BASEDIR=/srv/in\nTRANSCONF=/etc/next.ini\n", Options{Open: nextHop},
			[]string{"far-away:24747", "base: /srv/in"}, nil},
		{"relay by JSON", "[K2HFTFUSESVR]\nTYPE=trans\nTRANSCONF='{\"SVRNODE\": [{\"NAME\": \"far[1-2]\"}]}'\n", Options{}, []string{"far1:24747", "far2:24747", "outputs: []"}, nil},
		{"relay by JSON without quotes", "[K2HFTFUSESVR]\nTYPE=trans\nTRANSCONF={\"SVRNODE\": [{\"NAME\": \"far\"}]}\n", Options{}, []string{"far:24747"}, nil},
		{"relay by broken JSON", "[K2HFTFUSESVR]\nTYPE=trans\nTRANSCONF='{\"SVRNODE\": ['\n", Options{}, nil, []string{"cannot be read", "TRANSCONF.json"}},
		{"relay to nowhere", "[K2HFTFUSESVR]\nTYPE=trans\nTRANSCONF=/etc/none.ini\n", Options{Open: nextHop}, []string{"type: file"}, []string{"the file cannot be read", "Write targets in receiver.yaml"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := translate(t, test.text, test.options)
			var report bytes.Buffer
			if err := r.Report.Write(&report); err != nil {
				t.Fatal(err)
			}
			said := strings.Join(strings.Fields(report.String()), " ")
			for _, want := range test.want {
				if !strings.Contains(r.Sender+r.Receiver, want) {
					t.Errorf("%q is not in\n%s%s", want, r.Sender, r.Receiver)
				}
			}
			for _, want := range test.report {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not in\n%s", want, report.String())
				}
			}
		})
	}
}

// K2HTPDTOR_CHMPXCONF names the file that has the servers.
func TestServersOfAnotherFile(t *testing.T) {
	open := func(path string) ([]byte, error) {
		if path == "conf/chmpx.ini" {
			return []byte("[SVRNODE]\nNAME=far.example.com\n"), nil
		}
		return nil, fs.ErrNotExist
	}
	for file, want := range map[string]string{"chmpx.ini": "far.example.com:24747", "none.ini": "127.0.0.1:24747"} {
		c, err := Read("conf/x.ini", []byte("[K2HFTFUSE]\n[K2HTPDTOR]\nK2HTPDTOR_CHMPXCONF="+file+"\n"+one), open)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Translate(c, nil, Options{Open: open})
		if err != nil || !strings.Contains(r.Sender, "address: "+want) && !strings.Contains(r.Sender, `address: "`+want) {
			t.Errorf("%s: got %v\n%s\nwant %s", file, err, r.Sender, want)
		}
	}
}

// FuzzTranslate gives any bytes, in any syntax: they are refused, or what comes of them loads.
func FuzzTranslate(f *testing.F) {
	for _, role := range []string{"sender", "receiver"} {
		for _, end := range []string{".ini", ".yaml", ".json"} {
			text, err := os.ReadFile("testdata/" + role + end)
			if err != nil {
				f.Fatal(err)
			}
			f.Add("x"+end, text, "/mnt/x", "umask=022,uid=1")
		}
	}
	f.Add("x.ini", []byte("[K2HFTFUSE]\n[K2HTPDTOR]\nK2HTPDTOR_EXCEPT_KEY=\\x\\0x41\\0101\nK2HTPDTOR_FILE=/a\n[SVRNODE]\nNAME=a[1-2]\n"+one+"OUTPUTFILE=x/\nPLUGIN=A=b c\n"), "", "")
	f.Add("x.ini", []byte("[K2HFTFUSE]\n"), "/\x00x", "uid=1,uid=2")
	f.Add("x.ini", []byte("[K2HFTFUSE]\n"), "no\ufffe\xff\npath", "\u0085=1")
	f.Fuzz(func(t *testing.T, name string, text []byte, mountpoint, options string) {
		c, err := Read(name, text, nil)
		if err != nil {
			return
		}
		r, err := Translate(c, nil, Options{Mountpoint: mountpoint, MountOptions: options})
		if errors.Is(err, config.ErrInvalid) {
			t.Fatalf("%v\n%s%s", err, r.Sender, r.Receiver)
		}
		if err == nil {
			if err := r.Report.Write(&bytes.Buffer{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// nextHop opens the configuration of a relay's connection.
func nextHop(path string) ([]byte, error) {
	if path == "/etc/next.ini" {
		return []byte("[K2HTPDTOR]\nK2HTPDTOR_BROADCAST=no\n[SVRNODE]\nNAME=far-away\n"), nil
	}
	return nil, fs.ErrNotExist
}
