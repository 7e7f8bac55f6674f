package ledger

import (
	"reflect"
	"testing"

	"ftfuse/internal/record"
)

// FuzzEntries decodes arbitrary values as every kind: no panic, and what decodes survives encoding.
func FuzzEntries(f *testing.F) {
	p := position("a/b", 5)
	in := &Intent{Runs: []Run{{Position: p, Len: 3, Sums: []uint32{1, 2}}}, Marks: []record.Durable{durable(1, 2)}}
	seeds := [][]byte{
		encodePosition(&p), encodeMark(durable(1, 2), 3), encodeIntent(in),
		encodeMove(&Move{Position: p, To: "c", At: 9}), encodeClosed(&Closed{Path: "a", Name: "b", Suffix: ".gz", Done: true}),
	}
	for _, s := range seeds {
		if checkAll(f, s) == 0 {
			f.Fatalf("seed %x decodes as nothing", s)
		}
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v []byte) { checkAll(t, v) })
}

func checkAll(t testing.TB, v []byte) (kinds int) {
	same := func(what string, a, b any, err error) {
		if kinds++; err != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%s: %+v comes back as %+v, %v", what, a, b, err)
		}
	}
	if p, err := decodePosition(v); err == nil {
		again, err := decodePosition(encodePosition(&p))
		same("position", p, again, err)
	}
	if seq, chain, at, err := decodeMark(v); err == nil {
		s, c, a, err := decodeMark(encodeMark(record.Durable{Seq: seq, Chain: chain}, at))
		same("mark", []any{seq, chain, at}, []any{s, c, a}, err)
	}
	if in, err := decodeIntent(v); err == nil {
		again, err := decodeIntent(encodeIntent(in))
		same("intent", in, again, err)
	}
	if m, err := decodeMove(v); err == nil {
		again, err := decodeMove(encodeMove(m))
		same("move", m, again, err)
	}
	if c, err := decodeClosed(v); err == nil {
		again, err := decodeClosed(encodeClosed(&c))
		same("closed file", c, again, err)
	}
	if in, err := decodeRoll(v); err == nil {
		again, err := decodeRoll(encodeRoll(in))
		same("roll", in, again, err)
	}
	return kinds
}
