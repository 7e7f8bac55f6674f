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
		list = append(list, fixture{strings.TrimPrefix(strings.ToLower(reflect.TypeOf(c).String()), "wire."), c.Append(nil)[4:], c, true})
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

// Version 1 is read forever, and written as it was. To make a file for a new version, name one that does not
// exist yet: it is written once and never again.
func TestFixtureVersion1(t *testing.T) {
	name := filepath.Join("testdata", "version1.txt")
	if _, err := os.Stat(name); os.IsNotExist(err) {
		var b []byte
		for _, f := range fixtures(t) {
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
	if len(lines) != len(fixtures(t)) {
		t.Fatalf("got %d lines, want %d", len(lines), len(fixtures(t)))
	}
	for i, f := range fixtures(t) {
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
