package wire

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ftfuse/internal/record"
)

// fixture is what one line of a testdata file holds: a name, a space, the bytes in hexadecimal.
type fixture struct {
	name  string
	bytes []byte
	frame any  // what it decodes to: a Control or []record.Chunk
	fixed bool // encoding gives these very bytes, whatever version the compressors have
}

func fixtures(t *testing.T) []fixture {
	var list []fixture
	for _, c := range controls() {
		_, grown := c.(Welcome) // it is read as it was, and written with what has been appended since
		list = append(list, fixture{strings.TrimPrefix(strings.ToLower(reflect.TypeOf(c).String()), "wire."), c.Append(nil)[4:], c, !grown})
	}
	for codec := range codecsEnd {
		chunks := sample(false)
		if codec != None { // something that gets smaller
			p := bytes.Repeat([]byte("ftfuse "), 40)
			chunks[1].Data, chunks[1].Len, chunks[1].CRC = p, uint32(len(p)), record.CRC(p)
		}
		list = append(list, fixture{"batch-" + codec.String(), encode(t, chunks, codec), chunks, codec == None})
	}
	return append(list, fixture{"entry", AppendEntry(nil, sample(true)), sample(true), true})
}

// relayed are the frames that have grown since version1.txt was written.
func relayed(t *testing.T) []fixture {
	chunks := sample(false)
	source := chunks[0].Source.Via(record.SenderID{4})
	source.Hops = strings.Repeat("relay one's id -", 2)
	for i := range chunks {
		chunks[i].Source = source
	}
	w := Welcome{Version: 1, Marks: []record.Durable{}, Credit: 9, Limits: Limits{Body: MinBody, Chunks: 1, IdleMillis: 1000}, Features: []Text{Probe},
		Receiver: record.SenderID{5}, Name: "r", Time: 1 << 60}
	return []fixture{
		{"welcome", w.Append(nil)[4:], w, true},
		{"nack", Nack{Code: Loop, Text: "x"}.Append(nil)[4:], Nack{Code: Loop, Text: "x"}, true},
		{"batch-none", encode(t, chunks, None), chunks, true},
	}
}

// What a version wrote is read forever, and written as it was. To make a file for what is new, name one that does not
// exist yet: it is written once and never again.
func TestFixtures(t *testing.T) {
	for name, list := range map[string][]fixture{"version1.txt": fixtures(t), "version1-relayed.txt": relayed(t)} {
		t.Run(name, func(t *testing.T) { holdFixtures(t, name, list) })
	}
}

func holdFixtures(t *testing.T, name string, list []fixture) {
	name = filepath.Join("testdata", name)
	if _, err := os.Stat(name); os.IsNotExist(err) {
		var b []byte
		for _, f := range list {
			b = append(b, f.name+" "+hex.EncodeToString(f.bytes)+"\n"...)
		}
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Fatal("written; look at it and commit it")
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != len(list) {
		t.Fatalf("got %d lines, want %d", len(lines), len(list))
	}
	for i, f := range list {
		label, digits, _ := strings.Cut(lines[i], " ")
		b, err := hex.DecodeString(digits)
		if err != nil || label != f.name {
			t.Fatalf("line %d: got %s, %v, want %s", i+1, label, err, f.name)
		}
		var got any
		switch {
		case label == "entry":
			got, err = DecodeEntry(b)
		case strings.HasPrefix(label, "batch-"):
			_, got, err = decode(b)
		default:
			got, err = DecodeControl(b)
		}
		if err != nil || !reflect.DeepEqual(got, f.frame) {
			t.Errorf("%s: got %+v, %v, want %+v", label, got, err, f.frame)
		}
		if f.fixed && !bytes.Equal(f.bytes, b) {
			t.Errorf("%s: written: got %x, want %x", label, f.bytes, b)
		}
	}
}
