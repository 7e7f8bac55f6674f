package wire

import (
	"bytes"
	"testing"
)

// Every level of zstd can be read, those that the library tells apart make other bytes, and other codecs have none.
func TestLevels(t *testing.T) {
	body := accessLog(1 << 18)
	made := map[string]int{}
	for _, level := range []int{0, 1, 2, 3, 5, 6, 9, 10, 22} {
		packed := Zstd.compress(nil, body, level)
		if got, err := Zstd.decompress(nil, packed, len(body)); err != nil || !bytes.Equal(got, body) {
			t.Errorf("level %d: got %d other bytes, %v", level, len(got), err)
		}
		made[string(packed)]++
		if !bytes.Equal(S2.compress(nil, body, level), S2.compress(nil, body, 1)) {
			t.Errorf("level %d: s2 depends on it", level)
		}
	}
	if len(made) != 4 {
		t.Errorf("got %d kinds of zstd, want 4", len(made))
	}
}
