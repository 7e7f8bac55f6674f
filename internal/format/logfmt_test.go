package format

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"ftfuse/internal/record"
)

// readLogfmt reads a line of logfmt by the rules that logfmtFormat states.
func readLogfmt(line string) (map[string]any, error) {
	m := map[string]any{}
	rest, ended := strings.CutSuffix(line, "\n")
	if !ended || !utf8.ValidString(rest) {
		return nil, fmt.Errorf("%q: want UTF-8 and LF at the end", line)
	}
	for rest != "" {
		key, after, found := strings.Cut(rest, "=")
		if !found || key == "" || strings.ContainsAny(key, " \"") || m[key] != nil {
			return nil, fmt.Errorf("%q: no key at %q", line, rest)
		}
		if !strings.HasPrefix(after, `"`) {
			value, next, _ := strings.Cut(after, " ")
			if value == "" || strings.ContainsAny(value, "\"=\\") {
				return nil, fmt.Errorf("%q: bare value %q", line, value)
			}
			m[key], rest = value, next
			continue
		}
		d := json.NewDecoder(strings.NewReader(after))
		var value string
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("%q: at %q: %w", line, after, err)
		}
		rest = after[d.InputOffset():]
		if m[key] = value; rest != "" && rest[0] != ' ' {
			return nil, fmt.Errorf("%q: no space at %q", line, rest)
		}
		rest = strings.TrimPrefix(rest, " ")
	}
	return m, nil
}

func TestLogfmt(t *testing.T) {
	c := chunk("log/a b", "plain\ntwo words\n\n\"\\=\x01\n\xff")
	c.Flags, c.Offset = record.Continues|record.Continued|record.Below, 1000
	c.Writer.Unit = "a.service"
	const head = `time=2023-11-14T22:13:20.123456789Z host=host1 mount=m path="log/a b" rule=r record=line writer=thread pid=10 tid=11 uid=12 gid=13 ` +
		`start=0 comm=sh unit=a.service sender=01000000000000000000000000000000 epoch=1 boot_id=b seq=7 handle=1 clock=seen below=true offset=`
	want := head + "1000 continues=true msg=plain\n" +
		head + "1006 msg=\"two words\"\n" +
		head + "1016 msg=\"\"\n" +
		head + `1017 msg="\"\\=\u0001"` + "\n" +
		head + "1022 continued=true no_lf=true msg_base64=\"/w==\"\n"
	if got := render(t, Options{Format: "logfmt"}, c); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	want = `time=2023-11-14T22:13:20.123456789Z host=host1 mount=m path=p rule=r record=line writer=thread pid=10 tid=11 uid=12 gid=13 ` +
		`start=0 comm=sh sender=01000000000000000000000000000000 epoch=1 boot_id=b gap_first=3 gap_last=9 gap_reason=expired gap_bytes=5 gap_records=6` + "\n"
	if got := render(t, Options{Format: "logfmt"}, gap("p")); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestLogfmtForAnyBytes(t *testing.T) {
	for _, s := range nasty() {
		c := framed(s, s+"\r\n", "second")
		c.Source.Host, c.Writer.Exe = s, s+"x"
		lines := strings.SplitAfter(render(t, Options{Format: "logfmt"}, c), "\n")
		if len(lines) != 3 {
			t.Fatalf("%q: got %d lines, want 2", s, len(lines)-1)
		}
		m, err := readLogfmt(lines[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := whole(text(m, "msg"), m["no_lf"] != nil, text(m, "end")); got != s+"\r\n" {
			t.Errorf("got %q, want %q", got, s+"\r\n")
		}
		if text(m, "path") != s || text(m, "host") != s || text(m, "exe") != s+"x" {
			t.Errorf("attributes of %q: got %v", s, m)
		}
	}
}

func FuzzLogfmt(f *testing.F) {
	f.Add("data\n", "path", int64(0))
	f.Add("\xff\n\na=b c=\"d\\\"\n", "\x00=", int64(-1))
	f.Fuzz(func(t *testing.T, data, path string, at int64) {
		c := chunk(path, data)
		c.Time = at
		got := ""
		for line := range strings.Lines(render(t, Options{Format: "logfmt"}, c)) {
			m, err := readLogfmt(line)
			if err != nil {
				t.Fatal(err)
			}
			got += whole(text(m, "msg"), m["no_lf"] != nil, text(m, "end"))
			if text(m, "path") != path {
				t.Fatalf("path: got %q, want %q", text(m, "path"), path)
			}
		}
		if got != data {
			t.Fatalf("got %q, want %q", got, data)
		}
	})
}
