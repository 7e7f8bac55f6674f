package mount

import (
	"os"
	"testing"
)

func TestAppend(t *testing.T) {
	r := newRig(t)
	r.sh(`echo one >> f; echo two >> f; printf '' >> empty`)
	r.want("content", r.read("f"), "one\ntwo\n")
	r.want("captured", r.cap.captured("f"), "one\ntwo\n")
	r.want("below", r.sh(`stat -c %s f`), "8\n")
	b, err := os.ReadFile(r.below + "/f")
	r.want("stub", string(b), "")
	if err != nil {
		t.Fatal(err)
	}
	if r.m.Passthrough() == nil {
		r.want("open captures", r.opens("open", whyAppend), 3)
	}
	r.want("writer", r.cap.writer("f").Comm, "bash")
}
