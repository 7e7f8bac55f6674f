package bugreport

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// Every text holds the word HIDE where nobody may read on; KEEP must stay.
func TestScrub(t *testing.T) {
	for name, text := range map[string]string{
		"yaml":            "user: KEEP\npassword: HIDE\nport: KEEP",
		"yaml, flow":      "targets: [{name: KEEP, token: HIDE, other: HIDE}]\nKEEP",
		"yaml, list":      "  - name: KEEP\n    api_key: HIDE\n    host: KEEP",
		"yaml, block":     "KEEP: 1\nkey: |\n  HIDE\n\n  HIDE\nhost: KEEP",
		"yaml, section":   "secrets:\n  a: HIDE\n  b: HIDE\nhost: KEEP",
		"yaml, quoted":    "\"password\": \"HIDE\"\nKEEP",
		"comment":         "# old password: HIDE\nKEEP",
		"json":            "{\n  \"accessToken\": \"HIDE\",\n  \"host\": \"KEEP\"\n}",
		"names of tls":    "tls.key: HIDE\ntls_key: HIDE\ntls-cert: HIDE\nclient.pem: HIDE\nauth: HIDE\nKEEP",
		"environment":     "KEEP\nEnvironment=A=KEEP FTFUSE_TARGETS_MAIN_TOKEN=HIDE B=HIDE\nKEEP",
		"continued":       "Environment=DB_PASSWORD=HIDE \\\n  MORE=HIDE \\\n  LAST=HIDE\nUser=KEEP",
		"command line":    "ExecStart=/bin/KEEP --password=HIDE HIDE",
		"log":             "KEEP cannot connect: passwd=HIDE\nKEEP",
		"upper case":      "PGPASSWORD=HIDE",
		"url":             "proxy: http://HIDE:HIDE@KEEP:3128/KEEP",
		"header":          "sent Bearer HIDEHIDEHIDE.HIDE- KEEP",
		"header, named":   "Authorization: Basic HIDE",
		"pem":             "KEEP\n-----BEGIN RSA " + "PRIVATE KEY-----\nHIDE\nHIDE\n-----END RSA " + "PRIVATE KEY-----\nKEEP",
		"pem, on a line":  "KEEP -----BEGIN CERTIFICATE-----\\nHIDE\\n-----END CERTIFICATE----- KEEP",
		"pem, cut off":    "KEEP\n-----BEGIN CERTIFICATE-----\nHIDE",
		"not secrets":     "keepalive: KEEP\nmonkey=KEEP\nkeys KEEP\nKeyringMode=KEEP\nkeyboard: KEEP\ncertain: KEEP\nauthor: KEEP",
		"of a plug-in":    "user: KEEP\nenvironment:      # sender.yaml:5\n  - A=HIDE\n  - HIDE\nack: KEEP",
		"of one, flow":    "plugin: {command: [KEEP], environment: [A=HIDE]}\nKEEP",
		"of one, message": "outputs[KEEP].plugin.environment: got HIDE",
		"second of two":   "monkey=KEEP token=HIDE",
		"tabs and dashes": "\t- secret_id: HIDE\n\t- name: KEEP",
	} {
		got := string(Scrub([]byte(text)))
		if strings.Contains(got, "HIDE") {
			t.Errorf("%s: a secret is left in %q", name, got)
		}
		if want := strings.Count(text, "KEEP"); strings.Count(got, "KEEP") != want {
			t.Errorf("%s: got %q, want %d times KEEP", name, got, want)
		}
		if again := string(Scrub([]byte(got))); strings.Contains(again, "HIDE") || strings.Count(again, "KEEP") != strings.Count(got, "KEEP") {
			t.Errorf("%s: the second time gives %q", name, again)
		}
	}
}

// unpack returns the files of an archive by their names without the folder.
func unpack(t *testing.T, b []byte) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "report/")] = string(text)
	}
}

func part(name, text string, err error) Part {
	return Part{name, "the " + name, func(context.Context) ([]byte, error) { return []byte(text), err }}
}

func TestWrite(t *testing.T) {
	var b bytes.Buffer
	const limit = 10_000 // no line ends there
	long := strings.Repeat("a line\n", limit/7+10)
	entries, err := write(t.Context(), &b, "report", time.Unix(1e9, 0), []Part{
		part("good.txt", "fine\ntoken: planted\n", nil), part("bad.txt", "", errors.New("no permission: password=planted")),
		part("half.txt", "some", errors.New("and no more")), part("long.txt", long, nil), part("empty.txt", "", nil),
	}, limit)
	if err != nil || len(entries) != 5 {
		t.Fatal(entries, err)
	}
	files := unpack(t, b.Bytes())
	if len(files) != 4 || files["good.txt"] != "fine\ntoken: (removed)\n" || files["half.txt"] != "some" || len(files["long.txt"]) > limit || !strings.HasSuffix(files["long.txt"], "line\n") {
		t.Errorf("got %d files, good %q, half %q, %d bytes of long", len(files), files["good.txt"], files["half.txt"], len(files["long.txt"]))
	}
	for _, want := range []string{"good.txt                 the good.txt\n", "bad.txt                  no permission: password= (removed)\n",
		"half.txt                 and no more\n", "long.txt                 cut off after ", "empty.txt                there is nothing\n"} {
		if !strings.Contains(files["README"], want) {
			t.Errorf("README has no %q:\n%s", want, files["README"])
		}
	}
	if strings.Contains(files["README"], "planted") {
		t.Error("README tells a secret")
	}
}

func TestWriteFails(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/x")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := Write(t.Context(), f, "report", time.Now(), nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want the file's error", err)
	}
}

func TestCommand(t *testing.T) {
	for script, want := range map[string]string{
		"echo out": "out\n|", "echo out; exit 3": "out\n|", "echo out; echo why >&2; exit 3": "out\n|sh: exit status 3: why", "exit 3": "|exit status 3",
	} {
		out, err := Command("sh", "-c", script)(t.Context())
		got := string(out) + "|"
		if err != nil {
			got += err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", script, got, want)
		}
	}
	if _, err := Command("ftfuse-is-not-a-program")(t.Context()); err == nil {
		t.Error("a program that is not there gives no error")
	}
}

// What captured programs wrote to the journal through an output is not ours to send.
func TestJournalKeepsToOurOwn(t *testing.T) {
	raw := `{"__REALTIME_TIMESTAMP":"1000000","SYSLOG_IDENTIFIER":"ftfuse","_PID":"7","PRIORITY":"4","MESSAGE":"queue is full\nreally","MESSAGE_ID":"abc"}
{"__REALTIME_TIMESTAMP":"2000000","SYSLOG_IDENTIFIER":"nginx","_PID":"7","PRIORITY":"6","MESSAGE":"payload"}
{"__REALTIME_TIMESTAMP":"3000000","SYSLOG_IDENTIFIER":"systemd","_PID":"1","PRIORITY":"6","MESSAGE":"Started it.","MESSAGE_ID":"x"}
{"__REALTIME_TIMESTAMP":"3000000","SYSLOG_IDENTIFIER":["a","ftfuse"],"MESSAGE":[112,97]}
{"__REALTIME_TIMESTAMP":"3000000","SYSLOG_IDENTIFIER":"ftfuse","MESSAGE":"payload of a file that is called ftfuse","FTFUSE_CLOCK":"seen"}
{"__REALTIME_TIMESTAMP":"3000000","SYSLOG_IDENTIFIER":"mount","MESSAGE":"payload that a plug-in called mount says","FTFUSE_PLUGIN_PID":"8"}
not json
`
	text, skipped := readable([]byte(raw))
	want := "1970-01-01T00:00:01.000Z ftfuse[7] <4> queue is full\n    really (abc)\n1970-01-01T00:00:03.000Z systemd[1] <6> Started it.\n"
	if string(text) != want || skipped != 5 {
		t.Errorf("got %q and %d skipped, want %q and 5", text, skipped, want)
	}
}
