package output

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftfuse/internal/record"
)

// crash puts the chunks and dies at step, as a kill would: files, locks and the ledger's handle go, nothing is tidied up.
func (r *rig) crash(step string, chunks ...record.Chunk) {
	r.t.Helper()
	type killed struct{}
	r.out.o.step = func(s string) {
		if s == step {
			panic(killed{})
		}
	}
	func() {
		defer func() {
			if _, ok := recover().(killed); !ok {
				r.t.Fatalf("step %s was not reached", step)
			}
		}()
		r.out.Put(r.t.Context(), chunks)
	}()
	r.out.files.closeAll()
	r.out.base.close()
	r.led.Close()
	r.out, r.led = nil, nil
}

func pages(n int, c string) string { return strings.Repeat(c, n*4096/len(c)) }

// Each case dies after its append to a and b was written, changes what is on the disk, and opens again.
func TestSettle(t *testing.T) {
	const headA, headB = "head of a\n", "head of b\n"
	bodyA, bodyB := pages(3, "aaaaaaa\n"), "line for b\n"
	for name, c := range map[string]struct {
		harm                     func(a, b string)
		a, b                     string // what the files hold after opening
		finished, cut, uncertain bool
		unowned                  int64
	}{
		"all written": {func(a, b string) {}, headA + bodyA, headB + bodyB, true, false, false, 0},
		"nothing written": {func(a, b string) {
			os.Truncate(a, int64(len(headA)))
			os.Truncate(b, int64(len(headB)))
		}, headA, headB, false, false, false, 0},
		"only one of two written":                {func(a, b string) { os.Truncate(b, int64(len(headB))) }, headA, headB, false, true, false, 0},
		"first page written":                     {func(a, b string) { os.Truncate(a, 4096) }, headA, headB, false, true, false, 0},
		"all but the last bytes written":         {func(a, b string) { os.Truncate(a, 3*4096) }, headA, headB, false, true, false, 0},
		"a page reads as zeros after power loss": {func(a, b string) { overwrite(t, a, 4096, make([]byte, 4096)) }, headA, headB, false, true, false, 0},
		"foreign bytes after all":                {func(a, b string) { appendFile(t, a, "x\n") }, headA + bodyA + "x\n", headB + bodyB, true, false, false, 2},
		"foreign bytes after one of two": {func(a, b string) {
			appendFile(t, a, "x\n")
			os.Truncate(b, int64(len(headB)))
		}, headA + bodyA + "x\n", headB, false, false, true, int64(len(bodyA) + 2)},
		"foreign bytes instead": {func(a, b string) {
			os.Truncate(b, int64(len(headB)))
			appendFile(t, b, "somebody else's line\n")
		}, headA, headB + "somebody else's line\n", false, true, true, 21},
		"foreign bytes, not as many": {func(a, b string) {
			os.Truncate(b, int64(len(headB)))
			appendFile(t, b, "hi\n")
		}, headA, headB + "hi\n", false, true, true, 3},
		"foreign page instead of ours": {func(a, b string) {
			os.Truncate(a, int64(len(headA)))
			appendFile(t, a, pages(1, "f")[:4096-len(headA)])
		}, headA + pages(1, "f")[:4096-len(headA)], headB, false, true, true, int64(4096 - len(headA))},
		"foreign bytes behind a part of ours": {func(a, b string) {
			os.Truncate(a, 4096)
			appendFile(t, a, "x\n")
		}, headA + bodyA[:4096-len(headA)] + "x\n", headB, false, true, true, int64(4096 - len(headA) + 2)},
		"one byte differs":      {func(a, b string) { overwrite(t, a, 5000, []byte("X")) }, "", headB, false, true, true, int64(len(bodyA))},
		"truncated by somebody": {func(a, b string) { os.Truncate(a, 3) }, headA[:3], headB, false, true, true, 0},
		"deleted":               {func(a, b string) { os.Remove(a) }, "", headB, false, true, true, 0},
		"replaced": {func(a, b string) {
			os.Rename(a, filepath.Join(filepath.Dir(a), "..", "elsewhere"))
			os.WriteFile(a, []byte("new"), 0o600)
		}, "new", headB, false, true, true, 0},
		"renamed beside itself": {func(a, b string) { os.Rename(a, a+".1") }, "", headB + bodyB, true, false, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, disk := range []bool{false, true} {
				r := newRig(t)
				r.Disk = disk
				r.Base = filepath.Join(r.Base, "base")
				r.open()
				r.put(r.chunk("a", headA), r.chunk("b", headB))
				one, two := r.chunk("a", bodyA), r.chunk("b", bodyB)
				r.crash("written", one, two)
				a, b := filepath.Join(r.Base, "a"), filepath.Join(r.Base, "b")
				c.harm(a, b)
				r.open()
				if c.a != "" {
					r.want("a", c.a)
				}
				r.want("b", c.b)
				s, m := r.out.Stats(), r.out.Mark(r.src.Stream)
				if (s.Finished > 0) != c.finished || (s.Cut > 0) != c.cut || (s.Uncertain > 0) != c.uncertain || s.Unowned != c.unowned {
					t.Errorf("stats: got %+v, want finished %v, cut %v, uncertain %v, unowned %d", s, c.finished, c.cut, c.uncertain, c.unowned)
				}
				if want := map[bool]uint64{false: 2, true: 4}[c.finished]; m.Seq != want {
					t.Errorf("mark: got %d, want %d", m.Seq, want)
				}
				r.put(one, two)
				if got := strings.Count(r.read("b"), bodyB); got != 1 {
					t.Errorf("after the resend b holds its line %d times", got)
				}
				r.close()
			}
		})
	}
}

// Whatever length the write was cut at, no byte of it stays and none before it goes.
func TestSettleAtEveryPage(t *testing.T) {
	body := make([]byte, 40_000)
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for i := range body {
		body[i] = byte(rnd.Uint32())
	}
	t.Logf("seed %d", seed)
	for page := range 10 {
		r := newRig(t)
		r.open()
		head := string(body[:1+rnd.IntN(4000)])
		r.put(r.chunk("a", head))
		c := r.chunk("a", string(body))
		r.crash("written", c)
		must(t, os.Truncate(filepath.Join(r.Base, "a"), int64(max(len(head), page*4096))))
		r.open()
		r.want("a", head)
		r.put(c)
		r.want("a", head+string(body))
		r.close()
	}
}

func TestSums(t *testing.T) {
	data := []byte(pages(5, "0123456789abcdef"))
	for _, offset := range []int64{0, 1, 4095, 4096, 5000} {
		want := fmt.Sprint(sums(nil, offset, [][]byte{data}))
		got := fmt.Sprint(sums(nil, offset, [][]byte{data[:1], nil, data[1:5000], data[5000:]}))
		if got != want {
			t.Errorf("offset %d: sums depend on how the bytes are cut", offset)
		}
	}
	if got := sums(nil, 0, nil); len(got) != 0 {
		t.Errorf("sums of nothing: got %v", got)
	}
}

func overwrite(t *testing.T, name string, at int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt(b, at)
	must(t, err)
}
