package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"

	"ftfuse/internal/record"
)

// readMsgpack reads all maps of b.
func readMsgpack(t *testing.T, b string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for d := msgpack.NewDecoder(strings.NewReader(b)); ; {
		m, err := d.DecodeMap()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		all = append(all, m)
	}
}

// A map of msgpack says what the line of json says.
func TestMsgpackSaysWhatJSONSays(t *testing.T) {
	c := chunk("log/a", "one\ntwo\r\nthree")
	c.Flags, c.Offset, c.Handle, c.Seq = record.Continues|record.Continued|record.Below, 1000, 1<<40, 300
	c.Writer.UID, c.Writer.Start, c.Writer.Exe = 70_000, 1<<32-1, "/"+strings.Repeat("x", 300)
	f := framed("log/a", "one\ntwo\n", "crlf\r\n", "none")
	f.Writer = nil
	for _, c := range []record.Chunk{c, f, gap("p")} {
		maps := readMsgpack(t, render(t, Options{Format: "msgpack"}, c))
		lines := strings.SplitAfter(render(t, Options{Format: "json"}, c), "\n")
		if len(maps) != len(lines)-1 {
			t.Fatalf("got %d maps, want %d", len(maps), len(lines)-1)
		}
		for i, m := range maps {
			m["time"] = m["time"].(time.Time).UTC().Format("2006-01-02T15:04:05.000000000Z")
			if data, ok := m["data"].([]byte); ok {
				m["data"] = string(data)
			}
			got, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			want, err := json.Marshal(decode(t, lines[i]))
			if err != nil {
				t.Fatal(err)
			}
			if g, w := decode(t, string(got)), decode(t, string(want)); fmt.Sprint(g) != fmt.Sprint(w) {
				t.Errorf("got\n%v, want\n%v", g, w)
			}
		}
	}
}

func TestMsgpackForAnyBytes(t *testing.T) {
	texts := append(nasty(), strings.Repeat("a", 31), strings.Repeat("a", 32), strings.Repeat("a", 70_000), strings.Repeat("\xff", 70_000), strings.Repeat("\xff", 300))
	for _, s := range texts {
		c := framed(s, s+"\n")
		c.Time = -1
		m := readMsgpack(t, render(t, Options{Format: "msgpack"}, c))[0]
		end, _ := m["end"].(string)
		if got := whole(string(m["data"].([]byte)), false, end); got != s+"\n" {
			t.Errorf("data: got %q, want %q", got, s+"\n")
		}
		path, isText := m["path"].(string)
		if !isText {
			path = string(m["path"].([]byte))
		}
		if path != s || isText != utf8.ValidString(s) {
			t.Errorf("path: got %q, str %v", path, isText)
		}
	}
	for _, at := range []int64{0, 1, -1, at, 1<<63 - 1, -1 << 63, -1_000_000_000} {
		got, err := msgpack.NewDecoder(bytes.NewReader(appendTime(nil, at))).DecodeTime()
		if err != nil || got.UnixNano() != at {
			t.Errorf("time: got %v, %v, want %d", got, err, at)
		}
	}
}

func FuzzMsgpack(f *testing.F) {
	f.Add("data\n", "path", int64(0), uint64(1))
	f.Add("\xff\n\n", "\x00\xff", int64(-1), uint64(1<<63))
	f.Fuzz(func(t *testing.T, data, path string, at int64, seq uint64) {
		c := chunk(path, data)
		c.Time, c.Seq = at, seq
		got := ""
		for _, m := range readMsgpack(t, render(t, Options{Format: "msgpack"}, c)) {
			got += whole(string(m["data"].([]byte)), m["no_lf"] != nil, "")
			if m["time"].(time.Time).UnixNano() != at || fmt.Sprint(m["seq"]) != fmt.Sprint(seq) {
				t.Fatalf("got %v, want time %d and seq %d", m, at, seq)
			}
		}
		if got != data {
			t.Fatalf("got %q, want %q", got, data)
		}
	})
}
