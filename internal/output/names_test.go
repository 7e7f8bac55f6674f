package output

import (
	"fmt"
	"os"
	"testing"

	"ftfuse/internal/ledger"
	"ftfuse/internal/record"
)

// A peer that names ever new files exhausts neither descriptors nor the ledger; all its data is there, once.
func TestManyNames(t *testing.T) {
	r := newRig(t)
	r.Path, r.MaxOpen, r.MaxNames = "{path}", 1, 400 // MaxOpen is raised to what one append needs
	o := r.open()
	before := descriptors(t)
	const files = 1200
	var seq uint64
	for range files / 100 {
		var list []record.Chunk
		for range 100 {
			seq++
			list = append(list, chunk(source(1), seq, fmt.Sprintf("d%d/f%d", seq%7, seq), "x"))
		}
		r.put(list...)
		if got := descriptors(t) - before; got > maxRuns {
			t.Fatalf("got %d descriptors more, want at most %d", got, maxRuns)
		}
	}
	positions := 0
	must(t, r.Book.Positions(func(ledger.Position) bool { positions++; return true }))
	if positions > 400+100 || positions < 100 {
		t.Errorf("got %d positions, want about 400", positions)
	}
	r.put(chunk(source(1), seq, "d1/f1", "x"), chunk(source(1), seq+1, "d1/f1", "y")) // known already; forgotten
	r.want("d1/f1", "xy")
	if m := o.Mark(source(1).Stream); m.Seq != seq+1 {
		t.Errorf("got mark %d, want %d", m.Seq, seq+1)
	}
	for i := range uint64(files - 1) {
		r.want(fmt.Sprintf("d%d/f%d", (i+2)%7, i+2), "x")
	}
}

// A host that names ever new files makes room for them by its own: others' files stay open.
func TestOpenFilesAreShared(t *testing.T) {
	r := newRig(t)
	r.Path, r.MaxOpen = "{host}/{path}", 2*maxRuns
	o := r.open()
	r.put(chunk(source(1), 1, "a", "x"))
	for seq := uint64(1); seq <= 3*maxRuns; seq++ {
		r.put(chunk(source(2), seq, fmt.Sprint(seq), "x"))
	}
	if o.files.byKey["host1/a"] == nil || o.files.len() != 2*maxRuns {
		t.Errorf("got %d open files, the first of the other host among them: %v; want %d, true", o.files.len(), o.files.byKey["host1/a"] != nil, 2*maxRuns)
	}
	for n := byte(3); n < 255; n++ {
		r.put(chunk(source(n), 1, "a", "x"))
	}
	if own := o.files.hosts["host2"].Len(); own > 2*maxRuns-252 {
		t.Errorf("got %d open files of a host that has more than its share, want room for others", own)
	}
	o.files.closeAll()
	if len(o.files.hosts) != 0 || len(o.files.byKey) != 0 {
		t.Errorf("got %d hosts and %d files left behind, want none", len(o.files.hosts), len(o.files.byKey))
	}
}

// A host whose only open file is the one used longest ago opens another when there is no room: that one makes room for it.
func TestLastFileOfAHost(t *testing.T) {
	r := newRig(t)
	r.Path, r.MaxOpen = "{host}/{path}", maxRuns
	o := r.open()
	r.put(chunk(source(1), 1, "a", "x"))
	for seq := uint64(1); seq < maxRuns; seq++ {
		r.put(chunk(source(2), seq, fmt.Sprint(seq), "x"))
	}
	r.put(chunk(source(1), 2, "b", "y"))
	if own := o.files.hosts["host1"]; own == nil || own.Len() != 1 || o.files.byKey["host1/a"] != nil {
		t.Errorf("got %v open files of the host, want the new one alone", own)
	}
	r.put(chunk(source(1), 3, "b", "z"))
	r.want("host1/b", "yz")
	o.files.closeAll()
}

// Marks that nobody has are not kept in memory: a peer can ask for any number of them.
func TestUnknownMarksAreNotKept(t *testing.T) {
	o := newRig(t).open()
	for i := range uint64(100) {
		if m := o.Mark(record.Stream{Epoch: i}); m.Seq != 0 {
			t.Fatalf("got %+v, want none", m)
		}
	}
	if len(o.marks) != 0 {
		t.Errorf("got %d marks kept, want none", len(o.marks))
	}
}

// Peers that bring streams by the hundred thousand have their marks in the ledger; memory holds some of them.
func TestMarksInMemoryAreBounded(t *testing.T) {
	r := newRig(t)
	r.Path = "all"
	r.open()
	var all []record.Chunk
	for i := range uint64(maxMarks + 100) {
		all = append(all, chunk(&record.Source{Stream: record.Stream{Sender: record.SenderID{1}, Epoch: i + 1}, Host: "h"}, 7, "x", "x\n"))
	}
	r.put(all...)
	if n := len(r.out.marks); n > maxMarks {
		t.Errorf("got %d marks in memory, want at most %d", n, maxMarks)
	}
	for i := range all {
		if m := r.out.Mark(all[i].Source.Stream); m.Seq != 7 {
			t.Fatalf("stream %d: got %+v, want sequence 7", i, m)
		}
	}
	if n := len(r.out.marks); n > maxMarks {
		t.Errorf("got %d marks in memory when all were asked for, want at most %d", n, maxMarks)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(list)
}
