package output

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// What K2HFTFUSE 1.0.50 prints (src/k2hftsvrinfo.cc: build_form_part_list, build_time_part_list, get_string_content).
func TestTemplateAsTheOriginal(t *testing.T) {
	zone := time.FixedZone("JST", 9*3600)
	const long = "%F %T(%s %-)"
	for _, c := range []struct{ form, timeForm, data, want string }{
		{`%L`, "", "line\n", "line\n"},
		{`[%l]`, "", " \t line with end \r\n", "[line with end]"},
		{`%H|%h|%P|%p|%F|%f|%%` + `\n`, "", "x\n", "host1|host1|11|11|log/app.log|app.log|%\n"},
		{`"%H:%F(%P):%f[%T] %L"`, long, "data\n", "host1:log/app.log(11):app.log[2023-11-15 07:13:20(1700000000 123456789)] data\n"},
		{`%T %t`, "%H:%M:%S.%-%-", "x\n", "07:13:20.123456789123456789 07:13:20.123456789123456789"},
		{`%T|%L`, "", "x\n", "|x\n"},
		{`%T|`, `"%d/%b/%Y:%T %z"`, "x\n", "15/Nov/2023:07:13:20 +0900|"},
		{`%T|`, `%c %j %e %y %p %I %a %A %B %D %R %n%t%%`, "x\n", "Wed Nov 15 07:13:20 2023 319 15 23 AM 07 Wed Wednesday November 11/15/23 07:13 \n\t%|"},
		{`\\ \" \' \? \a\b\f\n\r\t`, "", "x\n", "\\ \" ' ? \a\b\f\n\r\t"},
		{`\x41\x4a\x4\x7g\xfF`, "", "x\n", "AJ\x04\ag\xff"},
		{`a\xzb`, "", "x\n", "ab"},
		{`a\x`, "", "x\n", "a"},
		{`\1\8|\9|\z|`, "", "x\n", "\x01\x08|||"},
		{`ab\0cd%L`, "", "x\n", "ab"},
		{`ab\`, "", "x\n", "ab"},
		{`ab%`, "", "x\n", "ab"},
		{`"ab"cd`, "", "x\n", "ab"},
		{`"ab"c"d`, "", "x\n", `ab"c`},
		{`"ab`, "", "x\n", "ab"},
		{`\x25L%%L`, "", "x\n", "%L%L"},
		{`%H %L`, "", "1\n2\n\n3", "host1 1\nhost1 2\nhost1 \nhost1 3"},
	} {
		f, err := newFormat(Options{Format: "template", Template: c.form, TimeFormat: c.timeForm, Location: zone})
		if err != nil {
			t.Errorf("%s: %v", c.form, err)
			continue
		}
		k := chunk(source(1), 1, "log/app.log", c.data)
		got := c.data
		if f != nil {
			got = string(f.append(nil, &k, hold))
		}
		if got != c.want {
			t.Errorf("format %s, time %s: got %q, want %q", c.form, c.timeForm, got, c.want)
		}
	}
}

func TestTemplateMistakes(t *testing.T) {
	for _, o := range []Options{
		{Format: "template", Template: "%Q"}, {Format: "template", Template: "%T", TimeFormat: "%Q"},
		{Format: "template", Template: "%T", TimeFormat: "%"}, {Format: "xml"},
	} {
		if _, err := newFormat(o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	for _, form := range []string{"", "%L", `"%L"`} {
		if f, err := newFormat(Options{Format: "template", Template: form}); f != nil || err != nil {
			t.Errorf("%q: got %v, %v; want raw", form, f, err)
		}
	}
}

func TestRecordsHaveTheTimeOfTheirMark(t *testing.T) {
	c := chunk(source(1), 1, "a", "1\n2\n33\n4") // writes: "1\n2", "\n", "", "33\n", "4"
	c.Time = 0
	c.Marks = []record.Mark{{Len: 3, Delta: 10}, {Len: 1, Delta: 20}, {Len: 0, Delta: 25}, {Len: 3, Delta: 30}, {Len: 1, Delta: 40}}
	for _, k := range []struct {
		unit record.Unit
		want string
	}{
		{record.Line, `"1\n"@0:10 "2\n"@2:20 "33\n"@4:30 "4"@7:40 `},
		{record.Write, `"1\n2"@0:10 "\n"@3:20 ""@4:25 "33\n"@4:30 "4"@7:40 `},
		{record.Binary, `"1\n2\n33\n4"@0:0 `},
	} {
		c.File = &record.File{Unit: k.unit}
		got := ""
		eachRecord(&c, func(rec []byte, off int, at int64) { got += fmt.Sprintf("%q@%d:%d ", rec, off, at) })
		if got != k.want {
			t.Errorf("%v: got %s, want %s", k.unit, got, k.want)
		}
	}
}

func TestJSONIsValidForAnyBytes(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	nasty := []string{string(all), "plain", `quote " back \ slash`, "\u2028 ünï \x00\x1f\x7f", "\xc3\x28", ""}
	f := newJSON()
	for _, s := range nasty {
		c := chunk(source(1), 7, s+"/x", strings.ReplaceAll(s, "\n", " ")+"\nsecond")
		c.Source.Host, c.Writer.Comm, c.Offset = s, s, 1000
		c.Flags = record.Continues | record.Continued | record.Below
		lines := strings.SplitAfter(string(f.append(nil, &c, hold)), "\n")
		if len(lines) != 3 || lines[2] != "" {
			t.Fatalf("%q: got %d lines, want 2", s, len(lines)-1)
		}
		first, second := decode(t, lines[0]), decode(t, lines[1])
		if got := text(first, "data") + "\n" + text(second, "data"); got != string(c.Data) {
			t.Errorf("data: got %q, want %q", got, c.Data)
		}
		if text(first, "path") != s+"/x" || text(first, "host") != s || text(first, "comm") != s {
			t.Errorf("attributes of %q: got %v", s, first)
		}
		if first["continues"] != true || first["continued"] != nil || second["continued"] != true || second["no_lf"] != true || first["below"] != true {
			t.Errorf("pieces: got %v and %v", first, second)
		}
		if first["seq"] != 7.0 || second["offset"] != float64(1000+len(s)+1) || first["time"] != "2023-11-14T22:13:20.123456789Z" || first["tid"] != 11.0 {
			t.Errorf("numbers: got %v", second)
		}
	}
	g := chunk(source(1), 9, "a", "")
	g.Gap = &record.Gap{First: 3, Reason: record.Expired, Bytes: 5, Records: 6}
	if m := decode(t, string(f.append(nil, &g, hold)))["gap"].(map[string]any); m["first"] != 3.0 || m["last"] != 9.0 || m["reason"] != "expired" || m["bytes"] != 5.0 {
		t.Errorf("gap: got %v", m)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add("data\n", "path", int64(0))
	f.Add("\xff\n\n", "\x00", int64(-1))
	f.Fuzz(func(t *testing.T, data, path string, at int64) {
		c := chunk(source(1), 1, path, data)
		c.Time = at
		got := ""
		for line := range strings.Lines(string(newJSON().append(nil, &c, hold))) {
			m := decode(t, line)
			if got += text(m, "data"); m["no_lf"] == nil {
				got += "\n"
			}
		}
		if got != data {
			t.Fatalf("got %q, want %q", got, data)
		}
	})
}

func decode(t *testing.T, line string) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return m
}

func text(m map[string]any, key string) string {
	if s, ok := m[key+"_base64"].(string); ok {
		b, _ := base64.StdEncoding.DecodeString(s)
		return string(b)
	}
	s, _ := m[key].(string)
	return s
}

func hold(dst []byte) []byte { return dst }
