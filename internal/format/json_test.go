package format

import (
	"encoding/json"
	"strings"
	"testing"

	"ftfuse/internal/record"
)

func TestJSON(t *testing.T) {
	c := chunk("log/a\"b", "one\ntwo")
	c.Source.Host, c.Offset, c.Flags = "h\xff", 1000, record.Continues|record.Continued|record.Below
	const (
		middle = `,"seq":7,"handle":1,"offset":`
		rest   = `,"clock":"seen","below":true,"host_base64":"aP8=","mount":"m","path":"log/a\"b","rule":"r","record":"line",` +
			`"writer":"thread","pid":10,"tid":11,"uid":12,"gid":13,"start":0,"comm":"sh",` +
			`"sender":"01000000000000000000000000000000","epoch":1,"boot_id":"b"}` + "\n"
	)
	want := `{"time":"2023-11-14T22:13:20.123456789Z","data":"one","continues":true` + middle + "1000" + rest +
		`{"time":"2023-11-14T22:13:20.123456789Z","data":"two","no_lf":true,"continued":true` + middle + "1004" + rest
	if got := render(t, Options{Format: "json"}, c); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestJSONIsValidForAnyBytes(t *testing.T) {
	f := newJSON()
	for _, s := range nasty() {
		c := chunk(s+"/x", strings.ReplaceAll(s, "\n", " ")+"\nsecond")
		c.Source.Host, c.Writer.Comm, c.Writer.Exe, c.Offset = s, s, s, 1000
		c.Flags = record.Continues | record.Continued | record.Below
		lines := strings.SplitAfter(string(f.Append(nil, &c, hold)), "\n")
		if len(lines) != 3 || lines[2] != "" {
			t.Fatalf("%q: got %d lines, want 2", s, len(lines)-1)
		}
		first, second := decode(t, lines[0]), decode(t, lines[1])
		if got := text(first, "data") + "\n" + text(second, "data"); got != string(c.Data) {
			t.Errorf("data: got %q, want %q", got, c.Data)
		}
		if text(first, "path") != s+"/x" || text(first, "host") != s || text(first, "comm") != s || text(first, "exe") != s {
			t.Errorf("attributes of %q: got %v", s, first)
		}
		if first["continues"] != true || first["continued"] != nil || second["continued"] != true || second["no_lf"] != true || first["below"] != true {
			t.Errorf("pieces: got %v and %v", first, second)
		}
		if first["seq"] != 7.0 || second["offset"] != float64(1000+len(s)+1) || first["time"] != "2023-11-14T22:13:20.123456789Z" || first["tid"] != 11.0 {
			t.Errorf("numbers: got %v", second)
		}
	}
}

func TestJSONOfGapsAndFramedRecords(t *testing.T) {
	if m := decode(t, render(t, Options{Format: "json"}, gap("a")))["gap"].(map[string]any); m["first"] != 3.0 || m["last"] != 9.0 || m["reason"] != "expired" || m["bytes"] != 5.0 {
		t.Errorf("gap: got %v", m)
	}
	records := []string{"one\n two\n", "crlf\r\n", "cr\r", "nul\x00", "none"}
	i := 0
	for line := range strings.Lines(render(t, Options{Format: "json"}, framed("a", records...))) {
		m := decode(t, line)
		if got := whole(text(m, "data"), m["no_lf"] != nil, text(m, "end")); got != records[i] || m["record"] != "framed" || (m["no_lf"] != nil) != (i == 4) || (m["end"] != nil) != (i >= 1 && i <= 3) {
			t.Errorf("got %q of %s, want %q", got, line, records[i])
		}
		i++
	}
	if i != len(records) {
		t.Errorf("got %d lines, want %d", i, len(records))
	}
}

func FuzzJSON(f *testing.F) {
	f.Add("data\n", "path", int64(0), byte(0))
	f.Add("\xff\n\n", "\x00", int64(-1), byte(0))
	f.Add("a\r\n\xc3\xbc\"", "\xc3\xbc\xc3", int64(at), byte(3))
	f.Add("two\nlines\n", "p", int64(1), byte(1))
	f.Fuzz(func(t *testing.T, data, path string, at int64, unit byte) {
		c := chunk(path, data)
		c.Time, c.File.Unit = at, record.Unit(unit%4)
		got := ""
		for line := range strings.Lines(render(t, Options{Format: "json"}, c)) {
			if !json.Valid([]byte(line)) {
				t.Fatalf("%q is not valid", line)
			}
			m := decode(t, line)
			lines := c.File.Unit == record.Line || c.File.Unit == record.Framed
			got += whole(text(m, "data"), m["no_lf"] != nil || !lines, text(m, "end"))
			if text(m, "path") != path {
				t.Fatalf("path: got %q, want %q", text(m, "path"), path)
			}
		}
		if got != data {
			t.Fatalf("got %q, want %q", got, data)
		}
	})
}
