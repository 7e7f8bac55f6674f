package journald_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ftfuse/internal/journald"
	"ftfuse/internal/journald/journaldtest"
)

// Whatever bytes a value has, it is read back.
func TestFieldIsReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOf(rapid.Byte()).Draw(t, "a"), rapid.String().Draw(t, "b")
		got, err := journaldtest.Parse(journald.Number(journald.Field(journald.Field(nil, "A", a), "B", b), "N", 7))
		if err != nil || got["A"] != string(a) || got["B"] != b || got["N"] != "7" {
			t.Fatalf("got %q, %v", got, err)
		}
	})
}

// A queue that is full delays a sender for as long as it wants to wait, and no longer; also not at all.
func TestSendWhenFull(t *testing.T) {
	d := journaldtest.New(t)
	d.Start()
	for _, wait := range []time.Duration{0, 20 * time.Millisecond} {
		c := journald.Conn{Path: d.Path, Wait: wait}
		defer c.Close()
		entry, sent := journald.Field(nil, "MESSAGE", "x"), 0
		var err error
		for ; err == nil; sent++ {
			err = c.Send(t.Context(), entry)
		}
		if !errors.Is(err, journald.ErrBusy) {
			t.Fatalf("after %d entries that nobody reads: got %v, want ErrBusy", sent, err)
		}
		got := ""
		d.Drain(&got)
		if err := c.Send(t.Context(), entry); err != nil {
			t.Errorf("with room again: got %v", err)
		}
		if d.Drain(&got); len(got) != 2*sent {
			t.Errorf("got %d entries, want %d", len(got)/2, sent)
		}
	}
}
