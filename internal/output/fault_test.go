package output

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ftfuse/internal/ledger/faulty"
	"ftfuse/internal/record"
)

// script puts 60 chunks into two files, resending from the mark after every error, as ingest does.
func (r *rig) script() (errs int) {
	r.t.Helper()
	for {
		mark := r.out.Mark(r.src.Stream).Seq
		if mark == 60 {
			return errs
		}
		var put []record.Chunk
		for seq := mark + 1; seq <= min(60, mark+2); seq++ {
			put = append(put, chunk(r.src, seq, fmt.Sprint("f", seq%2), fmt.Sprintf("%d\n", seq)))
		}
		if err := r.out.Put(r.t.Context(), put); err != nil {
			if errs++; errs > 40 {
				r.t.Fatalf("it never recovers: %v", err)
			}
		}
	}
}

func (r *rig) checkScript(what string) {
	r.t.Helper()
	want := [2]string{}
	for seq := 1; seq <= 60; seq++ {
		want[seq%2] += fmt.Sprintf("%d\n", seq)
	}
	for i, w := range want {
		if got := history(r.t.(*testing.T), r.Base, fmt.Sprint("f", i)); got != w {
			r.t.Fatalf("%s: f%d: got %q, want %q", what, i, got, w)
		}
	}
}

func TestEveryLedgerOperationFailsOnce(t *testing.T) {
	setup := func(disk *faulty.Disk) *rig {
		r := newRig(t)
		r.ledger.Storage, r.ledger.WriteBuffer = disk.Open, 2048
		r.Rotate.Size = 40
		return r
	}
	clean := faulty.New(0)
	r := setup(clean)
	r.open()
	r.script()
	r.checkScript("without faults")
	r.close()
	noticed := 0
	for i := 1; i <= clean.Count(); i++ {
		disk := faulty.New(i)
		r := setup(disk)
		if r.tryOpen() != nil {
			noticed++
			r.open()
		}
		noticed += r.script()
		what := fmt.Sprintf("operation %d (%s)", i, disk.Failed())
		r.checkScript(what)
		if s := r.out.Stats(); s.Uncertain != 0 {
			t.Fatalf("%s: %d bytes in doubt", what, s.Uncertain)
		}
		r.close()
		r.ledger.Storage = nil
		r.open()
		r.script()
		r.checkScript(what + ", reopened")
		r.close()
	}
	t.Logf("%d operations, %d faults noticed", clean.Count(), noticed)
	if noticed < 20 {
		t.Fatalf("only %d of %d faults were noticed", noticed, clean.Count())
	}
}

func TestDamagedLedgerMakesDuplicatesNotLosses(t *testing.T) {
	r := newRig(t)
	r.open()
	r.script()
	r.close()
	must(t, os.WriteFile(r.state+"/db/CURRENT", []byte("garbage"), 0o600))
	logs, err := os.ReadDir(r.state + "/db")
	must(t, err)
	for _, f := range logs {
		if strings.HasSuffix(f.Name(), ".log") || strings.HasSuffix(f.Name(), ".ldb") {
			must(t, os.Truncate(r.state+"/db/"+f.Name(), 10))
		}
	}
	r.open()
	if r.rep.Damage == "" || r.out.Mark(r.src.Stream).Seq != 0 {
		t.Fatalf("report %+v, mark %v", r.rep, r.out.Mark(r.src.Stream))
	}
	r.script()
	if got := history(t, r.Base, "f0"); strings.Count(got, "60\n") != 2 {
		t.Fatalf("got %q, want everything twice", got)
	}
}

func mountTmpfs(t *testing.T, dir, size string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("SKIPPED: no small tmpfs can be mounted here: %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
}

func TestFullDisk(t *testing.T) {
	for _, format := range []string{"raw", "json"} {
		r := newRig(t)
		r.Format = format
		mountTmpfs(t, r.Base, "256k")
		ballast := r.Base + "/ballast"
		must(t, os.WriteFile(ballast, make([]byte, 160<<10), 0o600))
		r.open()
		r.put(r.chunk("b", "first\n"))
		small := r.read("b")
		put := []record.Chunk{r.chunk("a", pages(6, "a line\n"+"")), r.chunk("b", pages(24, "other line\n"))}
		for range 3 {
			if err := r.out.Put(t.Context(), put); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("put on a full disk: got %v, want ENOSPC", err)
			}
			r.want("a", "")
			r.want("b", small)
		}
		if m := r.out.Mark(r.src.Stream); m.Seq != 1 {
			t.Fatalf("mark: got %d, want 1", m.Seq)
		}
		if format == "raw" {
			must(t, os.Remove(ballast))
			r.put(put...)
			r.want("a", string(put[0].Data))
			r.want("b", "first\n"+string(put[1].Data))
		}
		if s := r.out.Stats(); s.Uncertain != 0 || s.Unowned != 0 || s.LastError == "" {
			t.Fatalf("stats: got %+v", s)
		}
		r.close()
	}
}

// A limit on the size of files ends a write in the middle, at any byte.
func TestShortWrite(t *testing.T) {
	r := newRig(t)
	r.open()
	r.put(r.chunk("a", "head\n"))
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &old))
	c, d := r.chunk("b", "line\n"), r.chunk("a", pages(2, "line\n"))
	limit := old
	limit.Cur = 5001
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &limit))
	err := r.out.Put(t.Context(), []record.Chunk{c, d})
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &old))
	if !errors.Is(err, syscall.EFBIG) {
		t.Fatalf("got %v, want EFBIG", err)
	}
	r.want("a", "head\n")
	r.want("b", "")
	r.put(c, d)
	r.want("a", "head\n"+string(d.Data))
	r.want("b", "line\n")
}
