package capture

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ftfuse/internal/record"
)

// damage does to one file of the spool folder what power loss and failing disks do. Raw spools keep what the queue
// has of them: that is the queue's to miss.
func damage(t *rapid.T, path string, registered int64) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch filepath.Ext(path) {
	case ".raw":
		b = b[:rapid.Int64Range(headerSize+registered, int64(len(b))).Draw(t, "raw cut")]
	case ".log":
		if rapid.Bool().Draw(t, "cut") {
			b = b[:rapid.IntRange(0, len(b)).Draw(t, "log cut")]
		} else if len(b) > 0 {
			i := rapid.IntRange(0, len(b)-1).Draw(t, "zero from")
			clear(b[i:rapid.IntRange(i, len(b)).Draw(t, "zero to")])
		}
	case ".idx":
		for range rapid.IntRange(1, 4).Draw(t, "rows") {
			i := rapid.IntRange(0, min(len(b)/rowSize, 40)-1).Draw(t, "row") * rowSize
			if rapid.Bool().Draw(t, "tear") {
				b[i+rapid.IntRange(0, rowSize-1).Draw(t, "byte")] ^= 0x55
			} else {
				clear(b[i : i+rowSize])
			}
		}
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// After power loss recovery invents nothing, sends nothing twice, says exactly once what it knows to be missing,
// and comes to an end.
func TestPowerLoss(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "power")
		if err != nil {
			rt.Fatal(err)
		}
		m := &model{t: rt, dir: dir, queue: &fakeQueue{}, now: time.Now()}
		path := dir + "-below"
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			rt.Fatal(err)
		}
		m.files = []*modelFile{{path: path}}
		m.begin()
		ops := []func(){m.openHandle, m.write, m.write, m.write, m.closeHandle, m.snapshot, func() { m.step(context.Background()) }}
		for range rapid.IntRange(1, 40).Draw(rt, "ops") {
			rapid.SampledFrom(ops).Draw(rt, "op")()
		}
		for _, h := range m.all {
			if h.w != nil {
				h.w.Close()
			}
		}
		m.Close()
		m.spoil()
		for range 3 { // the second and third life find nothing new to say
			m.begin()
			for range 4 {
				m.step(context.Background())
			}
			m.Close()
			m.checkHoles()
		}
	})
}

// spoil damages some files of the folder and adds foreign ones.
func (m *model) spoil() {
	marks := map[uint64]int64{}
	for _, c := range m.queue.chunks {
		marks[c.Handle] = int64(c.Offset) + int64(c.Len)
	}
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, e := range entries {
		if id, _, ok := spoolName(e.Name()); ok && rapid.Bool().Draw(m.t, "damage "+e.Name()) {
			damage(m.t, filepath.Join(m.dir, e.Name()), marks[id])
		}
	}
	for _, name := range []string{"views.json", "run", "0000000000000000.raw", "00000001000000ff.idx", "00000001000000fe.log", "views.7.log", "zzz.raw"} {
		switch rapid.IntRange(0, 2).Draw(m.t, name) {
		case 0:
			err = os.WriteFile(filepath.Join(m.dir, name), []byte("garbage\n0 {}"), 0o600)
		case 1:
			if err = os.Remove(filepath.Join(m.dir, name)); os.IsNotExist(err) {
				err = nil
			}
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

// checkHoles holds what arrived against what was written: each handle's stream is covered once, by its bytes or gaps.
func (m *model) checkHoles() {
	pos := map[uint64]uint64{}
	written := map[uint64][]byte{}
	for _, h := range m.all {
		written[h.id] = h.wrote
	}
	for i := range m.queue.chunks {
		c := &m.queue.chunks[i]
		if c.Handle == 0 {
			continue // of no stream
		}
		if _, seen := pos[c.Handle]; !seen && c.Gap != nil {
			pos[c.Handle] = c.Offset // all that is known of the handle is that it wrote
		}
		if c.Offset != pos[c.Handle] {
			m.t.Fatalf("handle %x: chunk %d at %d, want at %d: %s", c.Handle, i, c.Offset, pos[c.Handle], describe(m.queue.chunks[:i+1], c.Handle))
		}
		if c.Gap != nil {
			pos[c.Handle] += c.Gap.Bytes
			continue
		}
		pos[c.Handle] += uint64(c.Len)
		w := written[c.Handle]
		if int(pos[c.Handle]) > len(w) || record.CRC(w[c.Offset:pos[c.Handle]]) != c.CRC {
			m.t.Fatalf("handle %x at %d: %d bytes that nobody wrote", c.Handle, c.Offset, c.Len)
		}
	}
}

func describe(chunks []record.Chunk, handle uint64) string {
	var b bytes.Buffer
	for _, c := range chunks {
		if c.Handle == handle {
			fmt.Fprintf(&b, "[%d +%d %v] ", c.Offset, c.Len, c.Gap)
		}
	}
	return b.String()
}

func TestSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s spans
		var want [64]bool
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			from := rapid.IntRange(0, 63).Draw(t, "from")
			to := rapid.IntRange(0, 64).Draw(t, "to")
			s = s.add(int64(from), int64(to))
			for i := from; i < to; i++ {
				want[i] = true
			}
		}
		if !slices.IsSortedFunc(s, func(a, b span) int { return int(a.to - b.from) }) {
			t.Fatalf("%v overlap or touch", s)
		}
		from, to := rapid.IntRange(0, 63).Draw(t, "a"), rapid.IntRange(0, 64).Draw(t, "b")
		var rest [64]bool
		for _, r := range s.without(int64(from), int64(to)) {
			for i := r.from; i < r.to; i++ {
				rest[i] = true
			}
		}
		for i := range want {
			if in := i >= from && i < to; rest[i] != (in && !want[i]) {
				t.Fatalf("%v without %d..%d: %d is %v", s, from, to, i, rest[i])
			}
		}
	})
}
