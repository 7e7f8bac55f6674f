package plugin

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// endless is a backlog that never runs dry: the queue's own speed is measured by the queue.
type endless struct {
	mu    sync.Mutex // guards acked
	chunk record.Chunk
	next  uint64
	left  int64 // bytes to give
	acked uint64
	last  uint64 // position with which it is empty
	done  chan struct{}
}

func (e *endless) Next(ctx context.Context, _ int64) (record.Batch, error) {
	if e.left <= 0 {
		<-ctx.Done()
		return record.Batch{}, ctx.Err()
	}
	c := e.chunk
	e.left -= int64(c.Len)
	e.next++
	c.Seq = e.next
	if e.left <= 0 {
		e.mu.Lock()
		e.last = e.next
		e.mu.Unlock()
	}
	return record.Batch{First: e.next, Last: e.next, Chunks: []record.Chunk{c}, Bytes: int64(c.Len)}, nil
}

func (e *endless) Ack(last uint64, _ record.Durable) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.acked = last; last == e.last {
		close(e.done)
	}
	return nil
}

func (e *endless) Rewind()                                  {}
func (e *endless) Acked() (uint64, record.Durable)          { return 0, record.Durable{} }
func (e *endless) Given() uint64                            { return 0 }
func (e *endless) Drop(uint64, uint64, record.Reason) error { return nil }
func (e *endless) NewEpoch() (uint64, error)                { return 0, nil }

// onDisk is a Store in a file, as spools are.
type onDisk struct{ *os.File }

func (d onDisk) ReadExtent(e record.Extent, p []byte) error {
	_, err := d.ReadAt(p, e.Off)
	return err
}

// BenchmarkPipe is the whole way from a spool in the page cache to `cat >/dev/null`: 4 KiB lines, raw. plain is a loop that
// reads the same file and writes to a pipe of the same size, and write is one that only writes.
func BenchmarkPipe(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchPlain(b, true) })
	b.Run("write", func(b *testing.B) { benchPlain(b, false) })
	for _, ack := range []bool{false, true} {
		name, command := "cat", "exec cat >/dev/null"
		if ack {
			name, command = "ack", `exec /usr/bin/python3 -c '
import os
n, out = 0, os.open("/dev/null", os.O_WRONLY)
while True:
    b = os.read(0, 1 << 20)
    if not b: break
    os.write(out, b)
    n += b.count(b"\n")
    os.write(3, b"%d\n" % n)
'`
		}
		b.Run(name, func(b *testing.B) { benchPipe(b, command, ack) })
	}
}

// benchSpool is a file of a megabyte in lines of 4 KiB.
func benchSpool(b *testing.B) (f *os.File, data []byte) {
	data = bytes.Repeat(append(bytes.Repeat([]byte{'x'}, 4095), '\n'), 256)
	f, err := os.Create(filepath.Join(b.TempDir(), "spool"))
	must(b, err)
	b.Cleanup(func() { f.Close() })
	_, err = f.Write(data)
	must(b, err)
	return f, data
}

func benchPlain(b *testing.B, reads bool) {
	f, data := benchSpool(b)
	r, w, err := os.Pipe()
	must(b, err)
	_, err = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, maxBatch)
	must(b, err)
	cat := exec.Command("sh", "-c", "exec cat >/dev/null")
	cat.Stdin = r
	must(b, cat.Start())
	must(b, r.Close())
	b.SetBytes(4096)
	b.ResetTimer()
	for left := b.N * 4096; left > 0; left -= len(data) {
		p := data[:min(left, len(data))]
		if reads {
			_, err = f.ReadAt(p, 0)
			must(b, err)
		}
		_, err = w.Write(p)
		must(b, err)
	}
	must(b, w.Close())
	must(b, cat.Wait())
	b.StopTimer()
}

func benchPipe(b *testing.B, command string, ack bool) {
	f, data := benchSpool(b)
	n := uint32(len(data))
	e := &endless{done: make(chan struct{}), left: int64(b.N) * 4096, chunk: record.Chunk{
		Source: &record.Source{Stream: record.Stream{Sender: me, Epoch: 1}}, File: &record.File{}, Records: 256,
		CRC: record.CRC(data), Len: n, Extents: []record.Extent{{Len: n}}}}
	p, err := New(Options{Name: "bench", Backlog: e, Store: onDisk{f}, Sender: me, Command: []string{"sh", "-c", command}, Stdout: Discard, Ack: ack})
	must(b, err)
	b.SetBytes(4096)
	ctx, stop := context.WithCancel(b.Context())
	b.ResetTimer()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	<-e.done
	b.StopTimer()
	stop()
	must(b, <-ended)
}
