package main

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/record"
)

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"plain\ttext ü 漢":           "plain\ttext ü 漢",
		"\x1b[2J\a\r\n\x00\x7f":     `\x1b[2J\a\r\n\x00\x7f`,
		"\xff\xc3(":                 `\xff\xc3(`,
		"\u009b31m \u202e \ufeff �": `\u009b31m \u202e \ufeff ` + `\ufffd`,
		`C:\new`:                    `C:\new`,
	} {
		if got := safe([]byte(in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzSafe(f *testing.F) {
	f.Add([]byte("\x1b[31m\xff"))
	f.Add([]byte("漢\u0085"))
	f.Fuzz(func(t *testing.T, p []byte) {
		s := safe(p)
		if !utf8.ValidString(s) {
			t.Fatalf("%q is not UTF-8", s)
		}
		for _, r := range s {
			if r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0) {
				t.Fatalf("%q has a control character", s)
			}
		}
	})
}

func TestTapText(t *testing.T) {
	c := &record.Chunk{Source: &record.Source{Host: "web1"}, File: &record.File{Path: "d/a\x1b.log"},
		Writer: &record.Writer{Kind: record.Opener, PID: 7, Comm: "cron"}}
	for _, x := range []struct {
		role  config.Role
		width int
		edit  func(*control.TapRecord)
		want  string
	}{
		{config.RoleSender, 0, nil, `d/a\x1b.log cron[7] hello world`},
		{config.RoleReceiver, 0, nil, `web1 d/a\x1b.log cron[7] hello world`},
		{config.RoleSender, 40, nil, `d/a\x1b.log cron[7] hello w`},
		{config.RoleSender, 20, nil, `d/a\x1b`},
		{config.RoleSender, 0, func(r *control.TapRecord) { r.Continues, r.Continued = true, true }, `d/a\x1b.log cron[7] …hello world…`},
		{config.RoleSender, 0, func(r *control.TapRecord) { r.TapWriter, r.TapFile = nil, nil }, `hello world`},
		{config.RoleSender, 0, func(r *control.TapRecord) {
			r.Gap = &control.TapGap{Reason: "expired", Bytes: 2048, Records: 3}
		}, `d/a\x1b.log cron[7] missing, expired: 2.00 KiB, 3 records`},
	} {
		var b bytes.Buffer
		v := tapView{role: x.role, o: &tapOptions{width: x.width}, out: bufio.NewWriter(&b), plain: true}
		r := control.NewTapRecord(c, []byte("hello world\n"), 0, 0)
		if x.edit != nil {
			x.edit(r)
		}
		v.human(r)
		v.out.Flush()
		_, got, _ := strings.Cut(strings.TrimSuffix(b.String(), "\n"), " ") // the time is local
		if got != x.want {
			t.Errorf("got %q, want %q", got, x.want)
		}
	}
}

func TestSkipped(t *testing.T) {
	got := skipped(control.TapSkipped{Rate: 3, Gone: 1}, 10)
	if want := "3 records skipped: more than --rate 10; 1 record skipped: delivered and given free before they could be read"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
