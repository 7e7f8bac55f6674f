package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"ftfuse/internal/record"
)

func TestEntryRoundTrip(t *testing.T) {
	for name, chunks := range map[string][]record.Chunk{
		"all fields": sample(true), "none": nil, "many": many(rand.New(rand.NewPCG(1, 2)), 500, 33),
	} {
		for i := range chunks {
			if err := Check(&chunks[i]); err != nil {
				t.Fatal(name, err)
			}
		}
		b := AppendEntry([]byte("before"), chunks)[len("before"):]
		got, err := DecodeEntry(b)
		if err != nil {
			t.Fatal(name, err)
		}
		if !reflect.DeepEqual(got, chunks) {
			t.Errorf("%s: got %+v, want %+v", name, got, chunks)
		}
		if again := AppendEntry(nil, got); !bytes.Equal(again, b) {
			t.Errorf("%s: printed again: got %x, want %x", name, again, b)
		}
	}
}

// Every single flipped bit of the head, and every cut, is noticed. Payload is the chunks' own checksums' business.
func TestEntryDamage(t *testing.T) {
	b := AppendEntry(nil, sample(true))
	for n := range b {
		if got, err := DecodeEntry(b[:n]); !errors.Is(err, record.ErrCorrupt) || got != nil {
			t.Fatalf("cut at %d: got %v, %v", n, got, err)
		}
	}
	head := len(b) - 310 - 3 // data and its length
	for n := range head * 8 {
		bad := bytes.Clone(b)
		bad[n/8] ^= 1 << (n % 8)
		if got, err := DecodeEntry(bad); !errors.Is(err, record.ErrCorrupt) || got != nil {
			t.Fatalf("bit %d flipped: got %v, %v", n, got, err)
		}
	}
	if _, err := DecodeEntry(append(bytes.Clone(b), 0)); !errors.Is(err, record.ErrCorrupt) {
		t.Errorf("a byte behind the end: got %v", err)
	}
}
