package record

import (
	"testing"

	"pgregory.net/rapid"
)

func TestJoinCRC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(rapid.Byte(), 0, 4000).Draw(t, "a")
		b := rapid.SliceOfN(rapid.Byte(), 0, 4000).Draw(t, "b")
		want := CRC(append(append([]byte{}, a...), b...))
		if got := JoinCRC(CRC(a), CRC(b), int64(len(b))); got != want {
			t.Fatalf("join of %d and %d bytes: got %08x, want %08x", len(a), len(b), got, want)
		}
	})
}

// Lengths whose bit count reaches past 2^31 must not wrap: the exponent table is cyclic only if x's order divides.
func TestJoinCRCLong(t *testing.T) {
	zeros := make([]byte, 1<<20)
	a := CRC([]byte("head"))
	want, run := a, uint32(0)
	const n = 600 // 600 MiB: 8n passes 2^32 bits
	for range n {
		want = AddCRC(want, zeros)
		run = AddCRC(run, zeros)
	}
	if got := JoinCRC(a, run, n<<20); got != want {
		t.Fatalf("got %08x, want %08x", got, want)
	}
}

func TestSenderIDRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var id SenderID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		got, err := ParseSenderID(id.String() + "\n")
		if err != nil || got != id {
			t.Fatalf("got %v, %v, want %v", got, err, id)
		}
	})
	for _, bad := range []string{"", "12", "zz000000000000000000000000000000", "00000000000000000000000000000000ff"} {
		if _, err := ParseSenderID(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestChainTellsOrderAndContent(t *testing.T) {
	var c Chain
	a := c.Next(1, 10, 5).Next(2, 20, 5)
	if b := c.Next(1, 20, 5).Next(2, 10, 5); a == b {
		t.Error("same chain for other content")
	}
	if b := c.Next(2, 20, 5).Next(1, 10, 5); a == b {
		t.Error("same chain for other order")
	}
	if a == 0 {
		t.Error("a chain that has begun is zero")
	}
}
