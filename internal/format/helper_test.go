package format

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// at is the time of the chunks of tests: 2023-11-14T22:13:20.123456789Z.
const at = 1_700_000_000_123456789

func chunk(path, data string) record.Chunk {
	return record.Chunk{
		Seq: 7, Source: &record.Source{Stream: record.Stream{Sender: record.SenderID{1}, Epoch: 1}, Host: "host1", BootID: "b"},
		File:   &record.File{Mount: "m", Path: path, Rule: "r"},
		Writer: &record.Writer{Kind: record.Thread, PID: 10, TID: 11, UID: 12, GID: 13, Comm: "sh"},
		Handle: 1, Time: at, Records: uint32(strings.Count(data, "\n")), Len: uint32(len(data)), Data: []byte(data),
	}
}

// framed makes a chunk of unit Framed.
func framed(path string, records ...string) record.Chunk {
	c := chunk(path, strings.Join(records, ""))
	c.File.Unit = record.Framed
	for i, r := range records {
		c.Marks = append(c.Marks, record.Mark{Len: uint32(len(r)), Delta: int64(i)})
	}
	return c
}

func gap(path string) record.Chunk {
	c := chunk(path, "")
	c.Seq, c.Gap = 9, &record.Gap{First: 3, Reason: record.Expired, Bytes: 5, Records: 6}
	return c
}

func render(t testing.TB, o Options, c record.Chunk) string {
	t.Helper()
	if o.Location == nil {
		o.Location = time.UTC
	}
	f, err := New(o)
	if err != nil {
		t.Fatalf("%+v: %v", o, err)
	}
	return string(f.Append(nil, &c, hold))
}

func hold(dst []byte) []byte { return dst }

// nasty are texts that a careless format gets wrong.
func nasty() []string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return []string{
		"", "plain", "-", "two words", `quote " back \ slash ] bracket = equals`, "\u2028 ünï \x00\x1f\x7f", "\xc3\x28", "\xff", string(all),
		"\xef\xbb\xbfbom", "\xef\xbb\xbf\xff", "tab\tcr\r", strings.Repeat("long ", 100), "1234567\"", "12345678\xc3", "1234567ä", "%d%s{host}",
	}
}

// decode reads a line of json.
func decode(t *testing.T, line string) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return m
}

// text returns a value of json or logfmt, whichever key it is under.
func text(m map[string]any, key string) string {
	if s, ok := m[key+"_base64"].(string); ok {
		b, _ := base64.StdEncoding.DecodeString(s)
		return string(b)
	}
	s, _ := m[key].(string)
	return s
}

// whole puts a record together again from what json, logfmt and msgpack say of it.
func whole(data string, none bool, end string) string {
	switch {
	case none:
		return data
	case end != "":
		return data + end
	}
	return data + "\n"
}

// Escapes are looked for eight bytes at a time: what is found must be what looking at each byte finds.
func TestScansAgree(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	set := []byte("aaaaaaaaaaaaaaaaaaaaaaa\x00\x1f\x20!\"#[\\]\x7f\x80\xa2\xdc\xff")
	for range 20_000 {
		v := make([]byte, r.IntN(40))
		for i := range v {
			v[i] = set[r.IntN(len(set))]
		}
		first := bytes.IndexFunc(v, func(c rune) bool { return c < 0x20 || c == '"' || c == '\\' || c >= 0x80 })
		if first < 0 {
			first = len(v)
		}
		if got := plain(v); got != first {
			t.Fatalf("plain(%q): got %d, want %d", v, got, first)
		}
		var want []byte
		for _, c := range v {
			if escaped[c] {
				want = appendEscape(want, c)
			} else {
				want = append(want, c)
			}
		}
		if got := appendEscaped(nil, string(v)); !bytes.Equal(got, want) {
			t.Fatalf("appendEscaped(%q): got %q, want %q", v, got, want)
		}
		if got, want := ascii(v), !bytes.ContainsFunc(v, func(c rune) bool { return c >= 0x80 }); got != want {
			t.Fatalf("ascii(%q): got %v", v, got)
		}
	}
}
