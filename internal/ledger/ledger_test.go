package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ftfuse/internal/ledger/faulty"
	"ftfuse/internal/record"
)

// goleveldb keeps a goroutine of its buffer pool for a while after Close.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

func stream(n byte) record.Stream { return record.Stream{Sender: record.SenderID{n}, Epoch: uint64(n)} }

func durable(n byte, seq uint64) record.Durable {
	return record.Durable{Stream: stream(n), Seq: seq, Chain: record.Chain(seq * 7)}
}

func position(path string, size int64) Position {
	return Position{Path: path, Key: record.FileKey{Dev: 3, Ino: 4, Birth: 5}, Size: size, Since: 6, Written: time.Now().UnixNano()}
}

func mustOpen(t *testing.T, o Options) (*Ledger, Report) {
	t.Helper()
	l, rep, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, rep
}

func TestEntriesComeBack(t *testing.T) {
	dir := t.TempDir()
	l, rep := mustOpen(t, Options{Dir: dir})
	if rep != (Report{}) {
		t.Fatalf("report of a new ledger: got %+v, want none", rep)
	}
	b, other := l.Book("a"), l.Book("ab")
	in := &Intent{
		Runs:  []Run{{Position: position("x/y", 10), Len: 9000, Sums: []uint32{1, 2, 3}}, {Position: position("z", 0), Len: 1}},
		Marks: []record.Durable{durable(1, 5), durable(2, 9)},
	}
	must(t, b.Begin(in, true))
	if got, err := other.Intent(); got != nil || err != nil {
		t.Fatalf("intent of another output: got %v, %v", got, err)
	}
	must(t, l.Close())
	if err := b.Begin(in, false); !errors.Is(err, record.ErrClosed) {
		t.Fatalf("after Close: got %v, want ErrClosed", err)
	}

	l, _ = mustOpen(t, Options{Dir: dir})
	b = l.Book("a")
	got, err := b.Intent()
	must(t, err)
	if fmt.Sprint(got) != fmt.Sprint(in) {
		t.Fatalf("intent: got %+v, want %+v", got, in)
	}
	must(t, b.Commit([]Position{position("x/y", 9010)}, in.Marks, false))
	if got, err := b.Intent(); got != nil || err != nil {
		t.Fatalf("intent after commit: got %v, %v", got, err)
	}
	p, ok, err := b.Position("x/y")
	if must(t, err); !ok || p.Size != 9010 {
		t.Fatalf("position: got %+v, %v", p, ok)
	}
	if m, err := b.Mark(stream(2)); err != nil || m != durable(2, 9) {
		t.Fatalf("mark: got %+v, %v", m, err)
	}
	if m, err := l.Book("ab").Mark(stream(2)); err != nil || m.Seq != 0 {
		t.Fatalf("mark of another output: got %+v, %v", m, err)
	}
}

func TestMovesAndClosedFiles(t *testing.T) {
	l, _ := mustOpen(t, Options{Dir: t.TempDir()})
	b := l.Book("out")
	must(t, b.Commit([]Position{position("x", 1)}, nil, false))
	m := &Move{Position: position("x", 1), To: "x-1", At: 77}
	must(t, b.BeginMove(m, false))
	got, err := b.Move()
	if must(t, err); *got != *m {
		t.Fatalf("move: got %+v, want %+v", got, m)
	}
	must(t, b.EndMove(m, true, true))
	if got, err := b.Move(); got != nil || err != nil {
		t.Fatalf("move after its end: got %v, %v", got, err)
	}
	if _, ok, _ := b.Position("x"); ok {
		t.Fatal("the old name still has a position")
	}
	c := Closed{Path: "x", Name: "x-1", Key: m.Key, At: 77, Suffix: ".zst", Packed: record.FileKey{Ino: 9}, Done: true}
	must(t, b.PutClosed(&c, false))
	var all []Closed
	must(t, b.Closed(func(c Closed) bool { all = append(all, c); return true }))
	if len(all) != 1 || all[0] != c {
		t.Fatalf("closed files: got %+v, want %+v", all, c)
	}
	must(t, b.DropClosed(&c))
	must(t, b.Closed(func(Closed) bool { t.Error("a dropped file is still there"); return true }))
}

func TestForgetKeepsTheNewestEpoch(t *testing.T) {
	dir := t.TempDir()
	l, _ := mustOpen(t, Options{Dir: dir})
	b := l.Book("out")
	old, newer := durable(1, 5), durable(1, 6)
	newer.Epoch++
	must(t, b.Commit([]Position{position("x", 1)}, []record.Durable{old, newer, durable(2, 1)}, false))
	must(t, l.Close())
	l, rep := mustOpen(t, Options{Dir: dir, Forget: time.Nanosecond})
	b = l.Book("out")
	if rep.Forgotten != 2 {
		t.Errorf("forgotten: got %d, want the old epoch and the position", rep.Forgotten)
	}
	for d, want := range map[record.Durable]uint64{old: 0, newer: 6, durable(2, 1): 1} {
		if m, _ := b.Mark(d.Stream); m.Seq != want {
			t.Errorf("mark of %v: got %d, want %d", d.Stream, m.Seq, want)
		}
	}
}

// script commits 40 appends, each with a mark of its own, trying each until it succeeds.
func script(l *Ledger) (acked uint64, failures int) {
	b := l.Book("out")
	for seq := uint64(1); seq <= 40; seq++ {
		in := &Intent{Runs: []Run{{Position: position("x", int64(seq)), Len: 1, Sums: make([]uint32, 200)}}, Marks: []record.Durable{durable(byte(seq), seq)}}
		for tries := 0; tries < 5; tries++ {
			err := b.Begin(in, seq%2 == 0)
			if err == nil {
				err = b.Commit([]Position{position("x", int64(seq)+1)}, in.Marks, seq%3 == 0)
			}
			if err == nil {
				acked = seq
				break
			}
			failures++
		}
	}
	return acked, failures
}

func TestEveryStorageOperationFailsOnce(t *testing.T) {
	clean := faulty.New(0)
	l, _, err := Open(Options{Dir: t.TempDir(), Storage: clean.Open, WriteBuffer: 4096})
	must(t, err)
	script(l)
	must(t, l.Close())
	if clean.Count() < 100 {
		t.Fatalf("operations: got %d, too few to mean anything", clean.Count())
	}
	seen := 0
	for i := 1; i <= clean.Count(); i++ {
		dir := t.TempDir()
		disk := faulty.New(i)
		o := Options{Dir: dir, Storage: disk.Open, WriteBuffer: 4096}
		l, _, err := Open(o)
		if err != nil {
			seen++
			if l, _, err = Open(o); err != nil {
				t.Fatalf("operation %d (%s): second open: %v", i, disk.Failed(), err)
			}
		}
		acked, failures := script(l)
		seen += failures
		l.Close()
		if acked != 40 {
			t.Fatalf("operation %d (%s): acknowledged %d of 40", i, disk.Failed(), acked)
		}
		l, rep, err := Open(Options{Dir: dir}) // half a record in the manifest is damage, and salvaged
		must(t, err)
		for seq := uint64(1); seq <= acked; seq++ {
			if m, err := l.Book("out").Mark(stream(byte(seq))); err != nil || m != durable(byte(seq), seq) {
				t.Fatalf("operation %d (%s): mark %d got %+v, %v, damage %q", i, disk.Failed(), seq, m, err, rep.Damage)
			}
		}
		l.Close()
	}
	if seen < 30 {
		t.Fatalf("only %d of %d faults were noticed", seen, clean.Count())
	}
}

// filled makes a ledger with tables and a journal, closed, and returns its folder. It has two tables, or one if the second was
// not written yet: four would be compacted into one with nearly all in it, or not, as it happens.
func filled(t *testing.T) string {
	dir := t.TempDir()
	l, _, err := Open(Options{Dir: dir, WriteBuffer: 16 << 10})
	must(t, err)
	b := l.Book("out")
	for i := range 300 {
		must(t, b.Commit([]Position{position(fmt.Sprint("file", i), int64(i))}, []record.Durable{durable(byte(i%100+1), uint64(i+1))}, false))
	}
	must(t, l.Close())
	return dir
}

func TestDamage(t *testing.T) {
	glob := func(dir, pattern string) string {
		all, _ := filepath.Glob(filepath.Join(dir, current, pattern))
		if len(all) == 0 {
			t.Fatalf("no %s in the ledger", pattern)
		}
		return all[len(all)-1]
	}
	flip := func(name string, at float64) {
		b, err := os.ReadFile(name)
		must(t, err)
		b[int(at*float64(len(b)-1))] ^= 0x41
		must(t, os.WriteFile(name, b, 0o600))
	}
	cut := func(name string, at float64) {
		st, err := os.Stat(name)
		must(t, err)
		must(t, os.Truncate(name, int64(at*float64(st.Size()))))
	}
	for name, c := range map[string]struct {
		harm  func(dir string)
		least int // entries of 400 that must be saved; a journal holds the newest 30 or so
	}{
		"journal flipped early":   {func(d string) { flip(glob(d, "*.log"), 0.02) }, 300},
		"journal flipped middle":  {func(d string) { flip(glob(d, "*.log"), 0.5) }, 300},
		"journal flipped late":    {func(d string) { flip(glob(d, "*.log"), 0.99) }, 300},
		"journal cut in a record": {func(d string) { cut(glob(d, "*.log"), 0.51) }, 300},
		"journal empty":           {func(d string) { cut(glob(d, "*.log"), 0) }, 300},
		"journal garbage":         {func(d string) { must(t, os.WriteFile(glob(d, "*.log"), garbage(9000), 0o600)) }, 300},
		"journal zeros at end":    {func(d string) { appendTo(t, glob(d, "*.log"), make([]byte, 5000)) }, 399},
		"table flipped":           {func(d string) { flip(glob(d, "*.ldb"), 0.3) }, 200},
		"table footer flipped":    {func(d string) { flip(glob(d, "*.ldb"), 1) }, 100},
		"table cut":               {func(d string) { cut(glob(d, "*.ldb"), 0.5) }, 100},
		"table missing":           {func(d string) { must(t, os.Remove(glob(d, "*.ldb"))) }, 100},
		"table garbage":           {func(d string) { must(t, os.WriteFile(glob(d, "*.ldb"), garbage(4000), 0o600)) }, 100},
		"manifest flipped":        {func(d string) { flip(glob(d, "MANIFEST-*"), 0.5) }, 390},
		"manifest cut":            {func(d string) { cut(glob(d, "MANIFEST-*"), 0.5) }, 300},
		"manifest missing":        {func(d string) { must(t, os.Remove(glob(d, "MANIFEST-*"))) }, 390},
		"manifest garbage":        {func(d string) { must(t, os.WriteFile(glob(d, "MANIFEST-*"), garbage(500), 0o600)) }, 390},
		"current missing":         {func(d string) { must(t, os.Remove(glob(d, "CURRENT"))) }, 390},
		"current garbage":         {func(d string) { must(t, os.WriteFile(glob(d, "CURRENT"), []byte("x\n"), 0o600)) }, 390},
		"everything garbage": {func(d string) {
			all, _ := filepath.Glob(filepath.Join(d, current, "*"))
			for _, f := range all {
				must(t, os.WriteFile(f, garbage(3000), 0o600))
			}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			c.harm(dir)
			l, rep := mustOpen(t, Options{Dir: dir})
			entries := count(t, l)
			t.Logf("%d entries, salvaged %d, damage: %s", entries, rep.Salvaged, rep.Damage)
			if entries < c.least {
				t.Errorf("entries: got %d, want at least %d", entries, c.least)
			}
			if entries < 400 && rep.Damage == "" && name != "journal empty" && name != "journal cut in a record" && name != "manifest cut" {
				t.Errorf("%d entries are missing and nobody said so", 400-entries)
			}
			if rep.Damage != "" && !exists(rep.Quarantine) {
				t.Errorf("quarantine %q is not there", rep.Quarantine)
			}
			must(t, l.Book("out").Commit(nil, []record.Durable{durable(200, 1)}, true))
			l.Close()
			l, rep = mustOpen(t, Options{Dir: dir})
			if m, _ := l.Book("out").Mark(stream(200)); m.Seq != 1 || rep.Damage != "" {
				t.Errorf("after the salvage: mark %d, damage %q", m.Seq, rep.Damage)
			}
		})
	}
}

func TestSalvageIsTakenUpAgain(t *testing.T) {
	dir := filled(t)
	must(t, os.Rename(filepath.Join(dir, current), filepath.Join(dir, damagedNow)))
	must(t, os.Mkdir(filepath.Join(dir, fresh), 0o700))
	l, _ := mustOpen(t, Options{Dir: dir})
	if n := count(t, l); n != 400 {
		t.Errorf("killed before the new database was in place: got %d entries, want 400", n)
	}
	l.Close()
	for range keepDamaged + 2 {
		must(t, os.Mkdir(filepath.Join(dir, damagedNow), 0o700))
		l, _ = mustOpen(t, Options{Dir: dir})
		if n := count(t, l); n != 400 {
			t.Errorf("killed after it: got %d entries, want 400", n)
		}
		l.Close()
	}
	if old, _ := filepath.Glob(filepath.Join(dir, damagedOld+"*")); len(old) != keepDamaged {
		t.Errorf("quarantined: got %d, want %d", len(old), keepDamaged)
	}
}

func TestSecondOpenerIsRefused(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, Options{Dir: dir})
	if _, _, err := Open(Options{Dir: dir}); err == nil {
		t.Fatal("two ledgers on one directory")
	}
}

func count(t *testing.T, l *Ledger) (n int) {
	b := l.Book("out")
	must(t, b.Positions(func(Position) bool { n++; return true }))
	for i := range 100 {
		if m, err := b.Mark(stream(byte(i + 1))); err == nil && m.Seq != 0 {
			n++
		}
	}
	return n
}

func garbage(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*i>>3 + 7*i)
	}
	return b
}

func appendTo(t *testing.T, name string, b []byte) {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	_, err = f.Write(b)
	must(t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
