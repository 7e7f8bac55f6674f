package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ftfuse/internal/record"
)

// damages are what can happen to a file.
var damages = []struct {
	name string
	do   func(b []byte) []byte // nil: the file is removed
}{
	{"removed", func([]byte) []byte { return nil }},
	{"emptied", func([]byte) []byte { return []byte{} }},
	{"cut in half", func(b []byte) []byte { return b[:len(b)/2] }},
	{"last byte gone", func(b []byte) []byte { return b[:max(len(b)-1, 0)] }},
	{"zeros at the end", func(b []byte) []byte { clear(b[len(b)*3/4:]); return b }},
	{"first byte flipped", func(b []byte) []byte { return flip(b, 0) }},
	{"byte 20 flipped", func(b []byte) []byte { return flip(b, 20) }},
	{"quarter flipped", func(b []byte) []byte { return flip(b, len(b)/4) }},
	{"middle flipped", func(b []byte) []byte { return flip(b, len(b)/2) }},
	{"last byte flipped", func(b []byte) []byte { return flip(b, len(b)-1) }},
	{"garbage", func(b []byte) []byte { return []byte(strings.Repeat("garbage ", 100)) }},
}

func flip(b []byte, at int) []byte {
	if at >= 0 && at < len(b) {
		b[at] ^= 0x40
	}
	return b
}

const damageEntries = 40

// sample makes a closed queue of several segments with tables and journals, of which 3 positions are acknowledged.
func sample(t *testing.T, dir string) (o Options, epoch uint64) {
	o = options(dir)
	o.SegmentEntries, o.WriteBuffer = 12, 2<<10
	o.Snapshot = func() []byte { return []byte("state") }
	q, _ := open(t, o)
	c := cursor(t, q, "a")
	for i := 1; i <= damageEntries; i++ {
		appendAll(t, q, inline("r", damageText(i)))
		if i == 20 {
			next(t, c, 3*210)
			if err := c.Ack(3, record.Durable{Stream: record.Stream{Sender: me, Epoch: q.Epoch()}, Seq: 3}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	return o, q.Epoch()
}

func damageText(i int) string { return fmt.Sprintf("%03d %0200d", i, i) }

// databaseFiles lists the files of all databases below dir that matter.
func databaseFiles(t *testing.T, dir string) (l []string) {
	all, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]int)
	for _, f := range all {
		base := filepath.Base(f)
		for _, k := range []string{".ldb", ".log", "MANIFEST-", "CURRENT"} {
			if strings.Contains(base, k) && !strings.HasSuffix(base, ".bak") {
				kinds[k]++
				l = append(l, strings.TrimPrefix(f, dir))
			}
		}
	}
	if len(kinds) != 4 {
		t.Fatalf("got files of kinds %v, want tables, journals, MANIFEST and CURRENT", kinds)
	}
	return l
}

// TestDamage breaks every file of every database in every way, one at a time.
func TestDamage(t *testing.T) {
	whole := fastDir(t)
	_, epoch := sample(t, whole)
	lost, saved := 0, 0
	for _, f := range databaseFiles(t, whole) {
		for _, d := range damages {
			t.Run(f[1:]+" "+d.name, func(t *testing.T) {
				dir := fastDir(t)
				if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(dir + f)
				if err != nil {
					t.Fatal(err)
				}
				if b = d.do(b); b == nil {
					err = os.Remove(dir + f)
				} else {
					err = os.WriteFile(dir+f, b, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				n := surviveDamage(t, dir, epoch, strings.HasPrefix(f, "/meta/"))
				lost += damageEntries - 3 - n
				saved += n
			})
		}
	}
	t.Logf("%d entries lost, %d saved", lost, saved)
	if lost == 0 || saved == 0 {
		t.Fatal("the damage did nothing, or everything")
	}
}

// surviveDamage opens a damaged queue and reads all of it: each missing sequence must be in a gap, nothing comes twice.
func surviveDamage(t *testing.T, dir string, epoch uint64, meta bool) (texts int) {
	o := options(dir)
	o.SegmentEntries, o.WriteBuffer = 12, 2<<10
	q, r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	balanced(t, q)
	c := cursor(t, q, "a")
	at, mark := c.Acked()
	if !meta && at != 3 || at > 3 {
		t.Fatalf("cursor stands at %d, want 3", at)
	}
	if err := r.Replay(func([]record.Chunk) error { return nil }); err != nil {
		t.Fatal(err)
	}
	appendAll(t, q, inline("r", "new"))
	all, last := drain(t, c, 1000)
	got := wholeSequence(t, all, mark.Seq+1)
	final := all[len(all)-1]
	if string(final.Data) != "new" || final.Source.Epoch != q.Epoch() {
		t.Fatalf("last: got %q of epoch %d", final.Data, final.Source.Epoch)
	}
	if !slices.IsSorted(got[:len(got)-1]) {
		t.Fatal("out of order")
	}
	for i := range all[:len(all)-1] {
		if k := &all[i]; k.Gap == nil && string(k.Data) != damageText(int(k.Seq)) {
			t.Fatalf("sequence %d: got %.10q", k.Seq, k.Data)
		}
	}
	texts = len(got) - 1 - int(3-at)
	if gaps := gapsOf(all); texts < damageEntries-3 && len(gaps) == 0 && !meta {
		t.Fatalf("got %d entries of %d and no gap", texts, damageEntries-3)
	} else if len(gaps) > 0 && (r.Clean || q.Epoch() == epoch) && q.Stats().Quarantine == "" {
		t.Fatalf("got gaps %v, but epoch %d as before and clean %v", gaps, epoch, r.Clean)
	}
	if err := c.Ack(last, record.Durable{Seq: final.Seq}); err != nil {
		t.Fatal(err)
	}
	balanced(t, q)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q, r, err = Open(o) // and all is well again
	if err != nil || !r.Clean || r.Lost != 0 || r.Quarantined != "" {
		t.Fatalf("the open after: %v, %+v", err, r)
	}
	balanced(t, q)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	return texts
}

func TestDamagedWhileOpen(t *testing.T) {
	dir := fastDir(t)
	o, _ := sample(t, dir)
	q, r := open(t, o)
	if !r.Clean {
		t.Fatal("not clean")
	}
	tables, _ := filepath.Glob(filepath.Join(dir, segmentName(13), "*"))
	broken := 0
	for _, f := range tables {
		if e := filepath.Ext(f); e == ".ldb" || e == ".log" {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(f, flip(b, len(b)/2), 0o600); err != nil {
				t.Fatal(err)
			}
			broken++
		}
	}
	if broken == 0 {
		t.Fatal("nothing to break")
	}
	c := cursor(t, q, "a")
	all, last := drain(t, c, 500)
	wholeSequence(t, all, 4)
	if len(gapsOf(all)) == 0 || all[len(all)-1].Seq != damageEntries {
		t.Fatalf("got gaps %v up to %d", gapsOf(all), all[len(all)-1].Seq)
	}
	balanced(t, q)
	if err := c.Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	balanced(t, q)
	if n := q.Stats().Cursors[0].Rules[0].Dropped["damaged"].Records; n == 0 {
		t.Fatal("nothing counted as damaged")
	}
}

// TestRolledBack opens an earlier copy of a queue, as after a restored snapshot of the machine: what the destination
// has acknowledged since is beyond what the copy knows.
func TestRolledBack(t *testing.T) {
	for _, orderly := range []bool{true, false} {
		t.Run(fmt.Sprint("copy of a closed queue ", orderly), func(t *testing.T) {
			dir, copied := fastDir(t), fastDir(t)
			o := options(dir)
			recv := receiver{marks: make(map[uint64]uint64)}
			q, _ := open(t, o)
			c := cursor(t, q, "a")
			appendAll(t, q, inline("r", "1"), inline("r", "2"))
			drain(t, c, 100)
			end := func(q *Queue) { crash(q) }
			if orderly {
				end = func(q *Queue) { q.Close() }
			}
			end(q)
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			q, _ = open(t, o) // the life that is rolled back
			c = cursor(t, q, "a")
			appendAll(t, q, inline("r", "3"), inline("r", "4"))
			all, _ := drain(t, c, 100)
			recv.put(all)
			q.Close()

			o.Dir = copied
			q, _ = open(t, o)
			c = cursor(t, q, "a")
			appendAll(t, q, inline("r", "other 3"), inline("r", "other 4"))
			if orderly { // the epoch goes on; the uplink sees the receiver's mark beyond ours and says so
				if q.Stats().Seq >= 5 {
					t.Fatal("sequences cannot tell")
				}
				if err := c.Drop(1, 0, record.Refused); err == nil {
					t.Fatal("dropped an empty range")
				}
				if _, err := c.NewEpoch(); err != nil {
					t.Fatal(err)
				}
				all, _ = drain(t, c, 100)
				recv.put(all)
				if want := []string{"1", "2", "3", "4", "1", "2", "other 3", "other 4"}; !slices.Equal(recv.texts, want) {
					t.Fatalf("got %q, want %q", recv.texts, want)
				}
				return
			}
			all, _ = drain(t, c, 100)
			recv.put(all)
			if want := []string{"1", "2", "3", "4", "other 3", "other 4"}; !slices.Equal(recv.texts, want) {
				t.Fatalf("got %q, want %q", recv.texts, want)
			}
		})
	}
}
