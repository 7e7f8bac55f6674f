// Package journaldtest plays journald on a real socket, for tests.
package journaldtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Journald is journald for one test. Its socket is there between Start and Stop.
type Journald struct {
	t    testing.TB
	Path string // of its socket
	conn *net.UnixConn
}

// New returns a journald that is not started.
func New(t testing.TB) *Journald {
	d := &Journald{t: t, Path: filepath.Join(t.TempDir(), "socket")}
	t.Cleanup(d.Stop)
	return d
}

// Start makes the socket.
func (d *Journald) Start() {
	d.t.Helper()
	var err error
	d.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: d.Path, Net: "unixgram"})
	d.must(err)
}

// Stop takes the socket away, with what nobody has read.
func (d *Journald) Stop() {
	if d.conn != nil {
		d.conn.Close()
		os.Remove(d.Path)
	}
	d.conn = nil
}

// Entry is one that came.
type Entry struct {
	Fields map[string]string
	InFile bool // it was too large for a datagram
}

// Next returns the next entry, or false when there is none now.
func (d *Journald) Next() (Entry, bool) {
	d.t.Helper()
	b, oob := make([]byte, 1<<20), make([]byte, 1024)
	raw, err := d.conn.SyscallConn()
	d.must(err)
	var n, oobn int
	var got error
	d.must(raw.Control(func(fd uintptr) { n, oobn, _, _, got = unix.Recvmsg(int(fd), b, oob, unix.MSG_DONTWAIT) }))
	if got == unix.EAGAIN {
		return Entry{}, false
	}
	d.must(got)
	b = b[:n]
	if oobn > 0 {
		b = d.file(oob[:oobn])
	}
	fields, err := Parse(b)
	d.must(err)
	return Entry{fields, oobn > 0}, true
}

// file reads what came by descriptor, as journald does: only from a file that nobody can change.
func (d *Journald) file(oob []byte) []byte {
	d.t.Helper()
	controls, err := unix.ParseSocketControlMessage(oob)
	d.must(err)
	fds, err := unix.ParseUnixRights(&controls[0])
	d.must(err)
	f := os.NewFile(uintptr(fds[0]), "entry")
	defer f.Close()
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	d.must(err)
	if want := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE; seals&want != want {
		d.t.Errorf("got seals %x, want %x", seals, want)
	}
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	d.must(err)
	return text
}

// several are the fields that an entry may have more than once, as journald takes it: for what a plug-in is fed from.
var several = map[string]bool{"FTFUSE_RULE": true, "FTFUSE_MOUNT": true}

// Parse reads the fields of an entry in journald's native protocol. The values of a field that comes more than once have a
// blank between them.
func Parse(b []byte) (map[string]string, error) {
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
		if first, twice := fields[string(key)]; twice && !several[string(key)] {
			return nil, fmt.Errorf("%s twice", key)
		} else if twice {
			value = []byte(first + " " + string(value))
		}
		fields[string(key)], b = string(value), rest
	}
	return fields, nil
}

// Drain appends the messages of all entries that are there now, a line each.
func (d *Journald) Drain(text *string) {
	d.t.Helper()
	for {
		e, ok := d.Next()
		if !ok {
			return
		}
		*text += e.Fields["MESSAGE"] + "\n"
	}
}

func (d *Journald) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}
