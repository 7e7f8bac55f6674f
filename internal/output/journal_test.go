package output

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"ftfuse/internal/ledger"
	"ftfuse/internal/record"
)

// journald plays journald on a real socket.
type journald struct {
	t    testing.TB
	path string
	conn *net.UnixConn
}

func newJournald(t testing.TB) *journald {
	d := &journald{t: t, path: filepath.Join(t.TempDir(), "socket")}
	t.Cleanup(d.stop)
	return d
}

func (d *journald) start() {
	d.t.Helper()
	var err error
	d.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: d.path, Net: "unixgram"})
	must(d.t, err)
}

func (d *journald) stop() {
	if d.conn != nil {
		d.conn.Close()
		os.Remove(d.path)
	}
	d.conn = nil
}

// entry is one that came, by field; file says that it came in a file.
type entry struct {
	fields map[string]string
	file   bool
}

// next returns the next entry, or false when there is none now.
func (d *journald) next() (entry, bool) {
	d.t.Helper()
	b, oob := make([]byte, 1<<20), make([]byte, 1024)
	raw, err := d.conn.SyscallConn()
	must(d.t, err)
	var n, oobn int
	var got error
	must(d.t, raw.Control(func(fd uintptr) { n, oobn, _, _, got = unix.Recvmsg(int(fd), b, oob, unix.MSG_DONTWAIT) }))
	if got == unix.EAGAIN {
		return entry{}, false
	}
	must(d.t, got)
	b = b[:n]
	if oobn > 0 {
		b = d.file(oob[:oobn])
	}
	fields, err := parseEntry(b)
	must(d.t, err)
	return entry{fields, oobn > 0}, true
}

// file reads what came by descriptor, as journald does: only from a file that nobody can change.
func (d *journald) file(oob []byte) []byte {
	d.t.Helper()
	controls, err := unix.ParseSocketControlMessage(oob)
	must(d.t, err)
	fds, err := unix.ParseUnixRights(&controls[0])
	must(d.t, err)
	f := os.NewFile(uintptr(fds[0]), "entry")
	defer f.Close()
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	must(d.t, err)
	if want := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE; seals&want != want {
		d.t.Errorf("got seals %x, want %x", seals, want)
	}
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	must(d.t, err)
	return text
}

func parseEntry(b []byte) (map[string]string, error) {
	fields := map[string]string{}
	for len(b) > 0 {
		line, rest, ok := bytes.Cut(b, []byte{'\n'})
		if !ok {
			return nil, fmt.Errorf("no line end after %q", b)
		}
		key, value, plain := bytes.Cut(line, []byte{'='})
		if !plain {
			if len(rest) < 8 {
				return nil, fmt.Errorf("%s: no length", line)
			}
			n := binary.LittleEndian.Uint64(rest)
			if rest = rest[8:]; uint64(len(rest)) < n+1 || rest[n] != '\n' {
				return nil, fmt.Errorf("%s: got %d bytes, want %d and a line end", line, len(rest), n)
			}
			value, rest = rest[:n], rest[n+1:]
		}
		if _, twice := fields[string(key)]; twice {
			return nil, fmt.Errorf("%s twice", key)
		}
		fields[string(key)], b = string(value), rest
	}
	return fields, nil
}

func newJournal(t testing.TB, d *journald, led *ledger.Ledger) *Journal {
	j := OpenJournal(JournalOptions{Name: "journal", Socket: d.path, Book: led.Book("journal")})
	j.conn.wait = 10 * time.Millisecond
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
	d := newJournald(t)
	d.start()
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
		got, ok := d.next()
		if !ok {
			t.Fatalf("no entry came, want %v", own)
		}
		for k, v := range common {
			own[k] = v
		}
		if fmt.Sprint(got.fields) != fmt.Sprint(own) {
			t.Errorf("got  %q\nwant %q", got.fields, own)
		}
	}
	gap := record.Chunk{Seq: 9, Source: src, File: c.File, Gap: &record.Gap{First: 8, Reason: record.QueueFull, Bytes: 50, Records: 2}}
	must(t, j.Put(t.Context(), []record.Chunk{gap}))
	got, _ := d.next()
	if f := got.fields; f["PRIORITY"] != "4" || f["MESSAGE"] != "50 bytes of app/web.log will not come: queue_full" || f["FTFUSE_GAP_FIRST"] != "8" ||
		f["FTFUSE_SEQ"] != "9" || f["FTFUSE_GAP_REASON"] != "queue_full" || f["FTFUSE_GAP_RECORDS"] != "2" {
		t.Errorf("got gap %q", f)
	}
	if s := j.Stats(); s.Records != 3 || s.Missing["queue_full"].Bytes != 50 || s.LastError != "" {
		t.Errorf("got stats %+v", s)
	}
}

// A record of any size arrives as one entry, in a file where a datagram is too small.
func TestJournalLargeRecords(t *testing.T) {
	d := newJournald(t)
	d.start()
	j := newJournal(t, d, openLedger(t, t.TempDir()))
	j.make.identifier = "fixed"
	for seq, size := range []int{1 << 10, 100 << 10, 300 << 10, record.MaxChunk} {
		c := chunk(source(1), uint64(seq+1), "core", strings.Repeat("\n\x00", size/2))
		c.File.Unit = record.Binary
		must(t, j.Put(t.Context(), []record.Chunk{c}))
		got, ok := d.next()
		if !ok || got.fields["MESSAGE"] != string(c.Data) || got.fields["SYSLOG_IDENTIFIER"] != "fixed" || got.file != (size > 200<<10) {
			t.Errorf("%d bytes: got %d, in a file: %v", size, len(got.fields["MESSAGE"]), got.file)
		}
	}
}

// What journald does not take stays with the caller; called again, nothing is lost and nothing comes twice.
func TestJournalWaitsForJournald(t *testing.T) {
	d := newJournald(t)
	dir := t.TempDir()
	led := openLedger(t, dir)
	j := newJournal(t, d, led)
	var chunks []record.Chunk
	want := ""
	for i := range 20 {
		text := ""
		for k := range 20 {
			text += fmt.Sprintf("line %d of %d\n", k, i)
		}
		want += text
		chunks = append(chunks, chunk(source(1), uint64(i+1), "log", text))
	}
	err := j.Put(t.Context(), chunks)
	if err == nil || !strings.Contains(err.Error(), "hand an entry to journald at "+d.path) {
		t.Fatalf("without journald: got %v", err)
	}
	got, refused := "", 0
	d.start()
	for round := 0; ; round++ {
		err := j.Put(t.Context(), chunks)
		if round == 3 {
			d.drain(&got)
			d.stop() // its socket is made anew
			d.start()
		}
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "it has read nothing for 10ms") {
			t.Fatal(err)
		}
		refused++
		d.drain(&got)
	}
	d.drain(&got)
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
	if e, ok := d.next(); ok || next.Stats().Duplicates != 20 {
		t.Errorf("got %v again, %+v", e, next.Stats())
	}
}

func (d *journald) drain(text *string) {
	d.t.Helper()
	for {
		e, ok := d.next()
		if !ok {
			return
		}
		*text += e.fields["MESSAGE"] + "\n"
	}
}

// A ledger that fails does not make entries come twice in one life of the process.
func TestJournalLedgerFails(t *testing.T) {
	d := newJournald(t)
	d.start()
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
	if d.drain(&got); got != "one\ntwo\n" {
		t.Errorf("got %q, want each once", got)
	}
	must(t, j.Close())
	if err := j.Put(t.Context(), []record.Chunk{b}); !errors.Is(err, record.ErrClosed) {
		t.Errorf("after Close: got %v", err)
	}
}

// Whatever bytes a value has, it is read back.
func TestJournalFieldIsReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOf(rapid.Byte()).Draw(t, "a"), rapid.String().Draw(t, "b")
		got, err := parseEntry(number(field(field(nil, "A", a), "B", b), "N", 7))
		if err != nil || got["A"] != string(a) || got["B"] != b || got["N"] != "7" {
			t.Fatalf("got %q, %v", got, err)
		}
	})
}
