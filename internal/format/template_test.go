package format

import (
	"reflect"
	"slices"
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
		for _, lenient := range []bool{false, true} {
			o := Options{Format: "template", Template: c.form, TimeFormat: c.timeForm, Location: zone, Lenient: lenient}
			if got := render(t, o, chunk("log/app.log", c.data)); got != c.want {
				t.Errorf("format %s, time %s, lenient %v: got %q, want %q", c.form, c.timeForm, lenient, got, c.want)
			}
		}
		if got := render(t, Options{Format: "template", Template: Translate(c.form), TimeFormat: c.timeForm, Location: zone}, chunk("log/app.log", c.data)); got != c.want {
			t.Errorf("format %s, translated %s: got %q, want %q", c.form, Translate(c.form), got, c.want)
		}
	}
}

// What New refuses in our own templates and an imported one may have.
func TestTemplateOfTheOriginalOnly(t *testing.T) {
	for _, c := range []struct {
		form, want, translated string
		unknown                []string
	}{
		{`%Q%q%Q|%L`, "QqQ|x\n", `QqQ|%L`, []string{"%Q", "%q"}},
		{`{"host":"%H","{x}":%é%\n}`, "{\"host\":\"host1\",\"{x}\":é\\n}", `{{\"host\":\"%H\",\"{{x}\":é\\n}`, []string{"%é", `%\`}},
		{`{host}{{`, "{host}{{", `{{host}{{{{`, nil},
		{`%{`, "{", `{{`, []string{"%{"}},
		{"%L", "x\n", "%L", nil},
		{"", "x\n", "%L", nil},
		{`""`, "", `""`, nil},
		{"a\\x1\\x80\\n\\0b", "a\x01\x80\n", `a\x01\x80\n`, nil},
	} {
		o := Options{Format: "template", Template: c.form, Lenient: true}
		if got := render(t, o, chunk("p", "x\n")); got != c.want {
			t.Errorf("%s: got %q, want %q", c.form, got, c.want)
		}
		if got := Unknown(c.form); !slices.Equal(got, c.unknown) {
			t.Errorf("%s: unknown letters: got %q, want %q", c.form, got, c.unknown)
		}
		if got := Translate(c.form); got != c.translated {
			t.Errorf("%s: translated: got %s, want %s", c.form, got, c.translated)
		}
		if got := render(t, Options{Format: "template", Template: c.translated}, chunk("p", "x\n")); got != c.want {
			t.Errorf("%s: got %q, want %q", c.translated, got, c.want)
		}
	}
}

func TestNamedFields(t *testing.T) {
	zone := time.FixedZone("JST", 9*3600)
	c := chunk("log/sub/app.log", "{\"level\":\"warn\",\"n\":1}\r\n")
	c.File.Unit = record.Framed
	c.Writer = &record.Writer{Kind: record.Thread, PID: 10, TID: 11, UID: 12, GID: 13, Comm: "sh", Exe: "/bin/sh", Unit: "a.service", Container: "c0"}
	for _, k := range []struct{ form, timeForm, want string }{
		{"{host} {path} {name} {dir} {mount} {rule}", "", "host1 log/sub/app.log app.log log/sub m r"},
		{"{seq} {pid} {tid} {uid} {gid} {comm} {exe} {unit} {container}", "", "7 10 11 12 13 sh /bin/sh a.service c0"},
		{"{sender}", "", "01" + strings.Repeat("00", 15)},
		{"{time}|%T", "", "2023-11-15T07:13:20.123456789+09:00|"},
		{"{time}|%T", "%s.%-", "1700000000.123456789|1700000000.123456789"},
		{"<{data}>", "", `<{"level":"warn","n":1}>`},
		{"<{line}>", "", "<{\"level\":\"warn\",\"n\":1}\r\n>"},
		{"{field.level}:{field.n}:{field.none}", "", "warn:1:"},
		{`{{"h":"{host}"}`, "", `{"h":"host1"}`},
		{`{{{host}}{{`, "", `{host1}{`},
		{`%H{host}\x7bhost}`, "", `host1host1{host}`},
	} {
		if got := render(t, Options{Format: "template", Template: k.form, TimeFormat: k.timeForm, Location: zone}, c); got != k.want {
			t.Errorf("%s: got %q, want %q", k.form, got, k.want)
		}
	}
	top := chunk("app.log", "x\n")
	top.Writer = nil
	if got := render(t, Options{Format: "template", Template: "{dir}|{name}|{pid}|{comm}|%P"}, top); got != "|app.log|0||0" {
		t.Errorf("at the top, nobody known: got %q", got)
	}
}

func TestTemplateMistakes(t *testing.T) {
	for _, k := range []struct{ form, timeForm, want string }{
		{"%Q", "", `template "%Q": %Q is not known: want one of %L`},
		{"%é", "", `%é is not known`},
		{"%T", "%Q", `time format "%Q": %Q is not known`},
		{"%T", "%", "is not known"},
		{"{hots}", "", "{hots} is not known: did you mean {host}? want one of {host} {path} {name} {dir} {mount} {rule} {time} {seq} {pid} {tid} {uid} {gid} {comm} {exe} {unit} {container} {sender} {data} {line} {field.NAME}, or {{ for a brace"},
		{"{Path}", "", "did you mean {path}?"},
		{"{ time }", "", "did you mean {time}?"},
		{"{xyzzy}", "", "{xyzzy} is not known: want one of"},
		{"{}", "", "{} is not known: want one of"},
		{"{field.}", "", "{field.} is not known"},
		{`{"host": 1}`, "", "is not known"},
		{"{host", "", "a { is not closed: {{ stands for a brace"},
	} {
		_, err := New(Options{Format: "template", Template: k.form, TimeFormat: k.timeForm})
		if err == nil || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%s: got %v, want %s", k.form, err, k.want)
		}
	}
	for _, form := range []string{"", "%L", `"%L"`, "{line}"} {
		if f, err := New(Options{Format: "template", Template: form}); f != (Raw{}) || err != nil {
			t.Errorf("%q: got %v, %v; want raw", form, f, err)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"", "%L", `"%H:%F(%P):%f[%T] %L"`, `{host} {field.a b} {{ } %% \x41\n\0x`, `""`, "a\\", "%", "\xff%Q{", "\u00e9\x00\"", `\9\xz{{{line}`} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, form string, lenient bool) {
		first, err := parse(form, lenient)
		if err != nil {
			if lenient || first != nil {
				t.Fatalf("%q: got %v with %v", form, first, err)
			}
			return
		}
		if Unknown(form) == nil && !lenient && !strings.Contains(form, "{") && Translate(form) != unparse(first) {
			t.Fatalf("%q: translated to %q, want %q", form, Translate(form), unparse(first))
		}
		again, err := parse(unparse(first), false)
		if err != nil || !reflect.DeepEqual(first, again) {
			t.Fatalf("%q is %+v; printed %q is %+v (%v)", form, first, unparse(first), again, err)
		}
		if twice := unparse(again); twice != unparse(first) {
			t.Fatalf("%q: printed %q, then %q", form, unparse(first), twice)
		}
	})
}
