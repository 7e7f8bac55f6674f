package output

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/journald/journaldtest"
	"ftfuse/internal/ledger"
	"ftfuse/internal/record"
)

func newJournal(t testing.TB, d *journaldtest.Journald, led *ledger.Ledger) *Journal {
	j := OpenJournal(JournalOptions{Name: "journal", Socket: d.Path, Book: led.Book("journal")})
	j.conn.Wait = 10 * time.Millisecond
	t.Cleanup(func() { must(t, j.Close()) })
	return j
}

func openLedger(t testing.TB, dir string) *ledger.Ledger {
	t.Helper()
	led, _, err := ledger.Open(ledger.Options{Dir: dir})
	must(t, err)
	t.Cleanup(func() { led.Close() })
	return led
}

func TestJournalFields(t *testing.T) {
	d := journaldtest.New(t)
	d.Start()
	j := newJournal(t, d, openLedger(t, t.TempDir()))
	src := source(1)
	c := chunk(src, 7, "app/web.log", "one\n\nnul\x00 and \xff\r\nthe rest")
	c.Offset, c.Flags = 100, record.Continues|record.Continued|record.Below
	c.Writer.Exe, c.Writer.Unit, c.Writer.Container, c.Writer.Comm = "/usr/bin/web", "web.service", "c0ffee", "two\nlines"
	must(t, j.Put(t.Context(), []record.Chunk{c}))
	common := map[string]string{
		"PRIORITY": "6", "SYSLOG_IDENTIFIER": "web.log", "FTFUSE_HOST": "host1", "FTFUSE_MOUNT": "m", "FTFUSE_PATH": "app/web.log", "FTFUSE_RULE": "r",
		"FTFUSE_WRITER": "thread", "FTFUSE_WRITER_PID": "10", "FTFUSE_WRITER_TID": "11", "FTFUSE_WRITER_UID": "12", "FTFUSE_WRITER_GID": "13",
		"FTFUSE_WRITER_START": "0", "FTFUSE_WRITER_COMM": "two\nlines", "FTFUSE_WRITER_EXE": "/usr/bin/web", "FTFUSE_WRITER_UNIT": "web.service",
		"FTFUSE_WRITER_CONTAINER": "c0ffee", "FTFUSE_SENDER": src.Sender.String(), "FTFUSE_EPOCH": "1", "FTFUSE_BOOT_ID": "b",
		"FTFUSE_SEQ": "7", "FTFUSE_HANDLE": "1", "FTFUSE_TIME": "2023-11-14T22:13:20.123456789Z", "FTFUSE_CLOCK": "seen", "FTFUSE_BELOW": "1",
	}
	for _, own := range []map[string]string{
		{"MESSAGE": "one", "FTFUSE_OFFSET": "100", "FTFUSE_CONTINUES": "1"},
		{"MESSAGE": "", "FTFUSE_OFFSET": "104"},
		{"MESSAGE": "nul\x00 and \xff\r", "FTFUSE_OFFSET": "105"},
		{"MESSAGE": "the rest", "FTFUSE_OFFSET": "117", "FTFUSE_NO_LF": "1", "FTFUSE_CONTINUED": "1"},
	} {
		got, ok := d.Next()
		if !ok {
			t.Fatalf("no entry came, want %v", own)
		}
		for k, v := range common {
			own[k] = v
		}
		if fmt.Sprint(got.Fields) != fmt.Sprint(own) {
			t.Errorf("got  %q\nwant %q", got.Fields, own)
		}
	}
	gap := record.Chunk{Seq: 9, Source: src, File: c.File, Gap: &record.Gap{First: 8, Reason: record.QueueFull, Bytes: 50, Records: 2}}
	must(t, j.Put(t.Context(), []record.Chunk{gap}))
	got, _ := d.Next()
	if f := got.Fields; f["PRIORITY"] != "4" || f["MESSAGE"] != "50 bytes of app/web.log will not come: queue_full" || f["FTFUSE_GAP_FIRST"] != "8" ||
		f["FTFUSE_SEQ"] != "9" || f["FTFUSE_GAP_REASON"] != "queue_full" || f["FTFUSE_GAP_RECORDS"] != "2" {
		t.Errorf("got gap %q", f)
	}
	if s := j.Stats(); s.Records != 3 || s.Missing["queue_full"].Bytes != 50 || s.LastError != "" {
		t.Errorf("got stats %+v", s)
	}
}

func TestJournalOfFramedRecords(t *testing.T) {
	d := journaldtest.New(t)
	d.Start()
	j := newJournal(t, d, openLedger(t, t.TempDir()))
	c := chunk(source(1), 1, "a", "two\nlines\ncr\rnone")
	c.File.Unit, c.Marks = record.Framed, []record.Mark{{Len: 10}, {Len: 3}, {Len: 4}}
	must(t, j.Put(t.Context(), []record.Chunk{c}))
	for _, want := range []string{"two\nlines 0 ", "cr 10 ", "none 13 1"} {
		e, _ := d.Next()
		if got := e.Fields["MESSAGE"] + " " + e.Fields["FTFUSE_OFFSET"] + " " + e.Fields["FTFUSE_NO_LF"]; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A record of any size arrives as one entry, in a file where a datagram is too small.
func TestJournalLargeRecords(t *testing.T) {
	d := journaldtest.New(t)
	d.Start()
	j := newJournal(t, d, openLedger(t, t.TempDir()))
	j.make.identifier = "fixed"
	for seq, size := range []int{1 << 10, 100 << 10, 300 << 10, record.MaxChunk} {
		c := chunk(source(1), uint64(seq+1), "core", strings.Repeat("\n\x00", size/2))
		c.File.Unit = record.Binary
		must(t, j.Put(t.Context(), []record.Chunk{c}))
		got, ok := d.Next()
		if !ok || got.Fields["MESSAGE"] != string(c.Data) || got.Fields["SYSLOG_IDENTIFIER"] != "fixed" || got.InFile != (size > 200<<10) {
			t.Errorf("%d bytes: got %d, in a file: %v", size, len(got.Fields["MESSAGE"]), got.InFile)
		}
	}
}

// What journald does not take stays with the caller; called again, nothing is lost and nothing comes twice.
func TestJournalWaitsForJournald(t *testing.T) {
	d := journaldtest.New(t)
	dir := t.TempDir()
	led := openLedger(t, dir)
	j := newJournal(t, d, led)
	var chunks []record.Chunk
	want := ""
	for i := range 20 {
		text := ""
		for k := range 20 {
			text += fmt.Sprintf("line %d of %d %s\n", k, i, strings.Repeat("x", 4000)) // a socket holds 10 of them, or as much as its buffer
		}
		want += text
		chunks = append(chunks, chunk(source(1), uint64(i+1), "log", text))
	}
	err := j.Put(t.Context(), chunks)
	if err == nil || !strings.Contains(err.Error(), "hand an entry to journald at "+d.Path) {
		t.Fatalf("without journald: got %v", err)
	}
	got, refused := "", 0
	d.Start()
	for round := 0; ; round++ {
		err := j.Put(t.Context(), chunks)
		if round == 3 {
			d.Drain(&got)
			d.Stop() // its socket is made anew
			d.Start()
		}
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "for 10ms its queue was full") {
			t.Fatal(err)
		}
		refused++
		d.Drain(&got)
	}
	d.Drain(&got)
	if got != want {
		t.Errorf("got %s, want %s", clip(got), clip(want))
	}
	if refused < 5 {
		t.Errorf("journald's queue was full %d times, want several", refused)
	}
	if m := j.Mark(source(1).Stream); m.Seq != 20 || len(j.sent) != 0 {
		t.Errorf("got mark %d and %d streams under way, want 20 and none", m.Seq, len(j.sent))
	}
	next := newJournal(t, d, led) // the next life
	must(t, next.Put(t.Context(), chunks))
	if e, ok := d.Next(); ok || next.Stats().Duplicates != 20 {
		t.Errorf("got %v again, %+v", e, next.Stats())
	}
}

// A ledger that fails does not make entries come twice in one life of the process.
func TestJournalLedgerFails(t *testing.T) {
	d := journaldtest.New(t)
	d.Start()
	dir := t.TempDir()
	led := openLedger(t, dir)
	j := newJournal(t, d, led)
	a, b := chunk(source(1), 1, "log", "one\n"), chunk(source(1), 2, "log", "two\n")
	must(t, j.Put(t.Context(), []record.Chunk{a}))
	must(t, led.Close())
	for range 3 {
		if err := j.Put(t.Context(), []record.Chunk{b}); err == nil {
			t.Fatal("nothing remembers the chunk: want an error")
		}
	}
	j.o.Book = openLedger(t, dir).Book("journal")
	must(t, j.Put(t.Context(), []record.Chunk{a, b}))
	got := ""
	if d.Drain(&got); got != "one\ntwo\n" {
		t.Errorf("got %q, want each once", got)
	}
	must(t, j.Close())
	if err := j.Put(t.Context(), []record.Chunk{b}); !errors.Is(err, record.ErrClosed) {
		t.Errorf("after Close: got %v", err)
	}
}
