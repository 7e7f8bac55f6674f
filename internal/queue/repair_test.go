package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ftfuse/internal/record"
)

// journalsOf returns the journals of a segment that hold something.
func journalsOf(t *testing.T, dir string, first uint64) (l []string) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, segmentName(first), "*.log"))
	for _, n := range names {
		if i, err := os.Stat(n); err == nil && i.Size() > 100 {
			l = append(l, n)
		}
	}
	if len(l) == 0 {
		t.Fatal("no journal to break")
	}
	return l
}

// A damaged journal is kept as it was found, wherever the damage is, and one repair is enough.
func TestDamagedJournalIsSetAside(t *testing.T) {
	for _, first := range []uint64{25, 37} { // read only; the newest
		for _, part := range []int{0, 1, 2} {
			t.Run(fmt.Sprint(first, part), func(t *testing.T) {
				dir := fastDir(t)
				o, _ := sample(t, dir)
				name := journalsOf(t, dir, first)[0]
				b, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				broken := flip(b, []int{9, len(b) / 2, len(b) - 1}[part])
				if err := os.WriteFile(name, broken, 0o600); err != nil {
					t.Fatal(err)
				}
				if r, err := Check(dir, nil); err != nil || len(r.Problems) == 0 {
					t.Fatalf("check: got %+v, %v", r, err)
				}
				rec, r, err := Repair(dir, nil)
				if err != nil || len(r.Problems) != 0 {
					t.Fatalf("repair: got %+v, %v", r, err)
				}
				kept, err := os.ReadFile(filepath.Join(rec.Quarantined, filepath.Base(name)))
				if err != nil || string(kept) != string(broken) {
					t.Fatalf("quarantine %q: %v", rec.Quarantined, err)
				}
				q, _ := open(t, o)
				all, last := drain(t, cursor(t, q, "a"), 1<<20)
				wholeSequence(t, all, 4)
				balanced(t, q)
				if err := cursor(t, q, "a").Ack(last, record.Durable{}); err != nil {
					t.Fatal(err)
				}
				q.Close()
				for range 2 { // now that everybody has passed what is missing
					if r, err := Check(dir, nil); err != nil || len(r.Problems) != 0 {
						t.Fatalf("check at the end: got %+v, %v", r, err)
					}
				}
			})
		}
	}
}

// What is missing where every cursor has passed is nobody's concern any more.
func TestRepairOfWhatEverybodyHas(t *testing.T) {
	dir := fastDir(t)
	o, _ := sample(t, dir)
	q, _ := open(t, o)
	c := cursor(t, q, "a")
	_, last := drain(t, c, 1<<20)
	if err := c.Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	q.Close()
	dirs, err := listSegments(dir)
	if err != nil || len(dirs) == 0 {
		t.Fatal(err)
	}
	tables, _ := filepath.Glob(filepath.Join(dir, segmentPrefix+"*", "*.ldb"))
	for _, name := range tables {
		b, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(name, flip(b, len(b)/3), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(tables) == 0 {
		t.Fatal("nothing to break")
	}
	if _, r, err := Repair(dir, nil); err != nil || len(r.Problems) != 0 {
		t.Fatalf("repair: got %+v, %v", r, err)
	}
	if _, r, err := Repair(dir, nil); err != nil || len(r.Problems) != 0 {
		t.Fatalf("again: got %+v, %v", r, err)
	}
}

// A journal that ends in the middle of a record is what a loss of power leaves: no damage.
func TestTornJournalIsNoDamage(t *testing.T) {
	dir := fastDir(t)
	o := options(dir)
	q, _ := open(t, o)
	for i := range 5 {
		appendAll(t, q, inline("r", fmt.Sprint("line ", i, "\n")))
	}
	crash(q)
	name := journalsOf(t, dir, 1)[0]
	i, err := os.Stat(name)
	if err == nil {
		err = os.Truncate(name, i.Size()-3)
	}
	if err != nil {
		t.Fatal(err)
	}
	q, r := open(t, o)
	if r.Quarantined != "" {
		t.Fatalf("got %+v", r)
	}
	if all, _ := drain(t, cursor(t, q, "a"), 1<<20); len(wholeSequence(t, all, 1)) != 4 {
		t.Fatalf("got %d chunks, want 4", len(all))
	}
}
