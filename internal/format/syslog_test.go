package format

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"ftfuse/internal/record"
)

// message is the grammar of RFC 5424, 6, as far as this format uses it: one or two elements, no NILVALUE for them.
var message = regexp.MustCompile(`(?s)^<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) ` +
	`\[ftfuse@32473((?: [a-z_]{1,32}="(?:[^"\\\]]|\\["\\\]])*")+)\](?:\[gap@32473((?: [a-z]+="[^"]*")+)\])? (.*)\n$`)

var param = regexp.MustCompile(`(?s) ([a-z_]+)="((?:[^"\\\]]|\\["\\\]])*)"`)

// syslogMessage is a message that was read.
type syslogMessage struct {
	pri, time, host, app, proc, id, text string
	params                               map[string]string
}

func readSyslog(line string) (*syslogMessage, error) {
	var quoted []byte // the grammar is about octets, the expression about runes
	for _, b := range []byte(line) {
		quoted = utf8.AppendRune(quoted, rune(b))
	}
	m := message.FindStringSubmatch(string(quoted))
	if m == nil {
		return nil, fmt.Errorf("%q is no message of RFC 5424", line)
	}
	for i := range m {
		var b []byte
		for _, r := range m[i] {
			b = append(b, byte(r))
		}
		m[i] = string(b)
	}
	s := &syslogMessage{m[1], m[2], m[3], m[4], m[5], m[6], m[9], map[string]string{}}
	if !utf8.ValidString(m[7]) {
		return nil, fmt.Errorf("%q: parameters are not UTF-8", line)
	}
	for _, p := range param.FindAllStringSubmatch(m[7]+m[8], -1) {
		s.params[p[1]] = strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\]`, `]`).Replace(p[2])
	}
	return s, nil
}

func TestSyslog(t *testing.T) {
	c := chunk("log/a]b", "plain\ntwo ünï\n\xff\n")
	c.Flags, c.Offset = record.Continues|record.Continued|record.Below, 1000
	c.Writer.Unit, c.Writer.Comm = "a.service", "tmux: server"
	const (
		head = `1 2023-11-14T22:13:20.123456Z host1 tmux:_server 10 r [ftfuse@32473 mount="m" path="log/a\]b" rule="r" tid="11" uid="12" gid="13" ` +
			`comm="tmux: server" unit="a.service" sender="01000000000000000000000000000000" epoch="1"`
		more = head + ` seq="7" handle="1" clock="seen" below="true" offset="`
	)
	want := "<14>" + more + "1000\" continues=\"true\"] plain\n" +
		"<14>" + more + "1006\"] \xef\xbb\xbftwo ünï\n" +
		"<14>" + more + "1016\" continued=\"true\"] \xff\n"
	if got := render(t, Options{Format: "rfc5424"}, c); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	g := c
	g.Gap, g.Seq, g.Data, g.Len = gap("").Gap, 9, nil, 0
	want = "<12>" + head + `][gap@32473 first="3" last="9" reason="expired" bytes="5" records="6"] 5 bytes will not come: expired` + "\n"
	if got := render(t, Options{Format: "rfc5424"}, g); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestSyslogOfNobody(t *testing.T) {
	c := chunk("", "x\n")
	c.File.Rule, c.Source.Host, c.Writer = "", "", &record.Writer{}
	m, err := readSyslog(render(t, Options{Format: "rfc5424"}, c))
	if err != nil {
		t.Fatal(err)
	}
	if m.host+m.app+m.proc+m.id != "----" || m.text != "x" {
		t.Errorf("got %+v", m)
	}
	long := strings.Repeat("ä", 200)
	c.File.Rule, c.File.Path, c.Source.Host = long, "d/"+long, long
	if m, err = readSyslog(render(t, Options{Format: "rfc5424"}, c)); err != nil {
		t.Fatal(err)
	}
	if len(m.host) != 255 || len(m.app) != 48 || len(m.id) != 32 || m.params["path"] != c.File.Path || m.params["rule"] != long {
		t.Errorf("got %+v", m)
	}
}

func TestSyslogText(t *testing.T) {
	for _, k := range []struct{ rec, want string }{
		{"a\n", "a"}, {"a\nb\r\n", "a#012b"}, {"\n\n\n", "#012#012"}, {"", ""}, {"a\x00b\x00", "a\x00b"},
		{"ä\n", bom + "ä"}, {bom + "ä", bom + "ä"}, {bom + bom + "ä\n", bom + "ä"}, {bom + "\xff", "\xff"}, {bom, bom}, {"\xff\xfe", "\xff\xfe"},
	} {
		c := framed("p", k.rec)
		if k.rec == "" {
			c = framed("p", k.rec, "x\n")
		}
		line, _, _ := strings.Cut(render(t, Options{Format: "rfc5424"}, c), "\n")
		m, err := readSyslog(line + "\n")
		if err != nil {
			t.Fatal(err)
		}
		if m.text != k.want {
			t.Errorf("%q: got %q, want %q", k.rec, m.text, k.want)
		}
	}
}

func FuzzSyslog(f *testing.F) {
	for _, s := range nasty() {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, data, path, host string) {
		c := chunk(path, data)
		c.Source.Host, c.Writer.Comm, c.Writer.Exe, c.File.Rule = host, host, path, path
		lines := 0
		for line := range strings.Lines(render(t, Options{Format: "rfc5424"}, c)) {
			lines++
			m, err := readSyslog(line)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(m.text, bom) != (!ascii([]byte(m.text)) && utf8.ValidString(m.text)) {
				t.Fatalf("%q: a BOM where none belongs, or none where one does", line)
			}
		}
		if want := strings.Count(data+"\n", "\n"); data != "" && lines != want && lines != want-1 {
			t.Fatalf("got %d lines of %q", lines, data)
		}
	})
}
