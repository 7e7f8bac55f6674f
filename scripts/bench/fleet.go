package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/secure"
	"ftfuse/internal/wire"
)

// fleet is many simulated senders of one receiver: real connections and frames, one goroutine each, and no queues.
type fleet struct {
	address   string
	peers     []*simulated
	connected atomic.Int64
	connects  atomic.Int64 // handshakes that were answered by WELCOME
	failures  atomic.Int64 // attempts that were not
	acked     atomic.Int64 // lines

	stop  context.CancelFunc
	ended sync.WaitGroup
}

// simulated is one sender.
type simulated struct {
	fleet  *fleet
	number int
	source record.Source
	file   record.File
	tunnel *secure.Credentials // nil: it speaks without TLS

	mu   sync.Mutex // guards what follows, and is held for one frame
	nc   net.Conn   // nil while there is none
	sent uint64     // batches of this connection
	seq  uint64
	size []int64 // lines of the batches that are not acknowledged
	done uint64  // batches acknowledged
}

// lineSize is the length of a line, its end included.
const lineSize = 128

// newFleet starts n senders, which connect and come back as real ones do until close. Those that speak TLS have certificates.
func newFleet(ctx context.Context, address string, n int, certs *certificates) *fleet {
	f := &fleet{address: address}
	ctx, f.stop = context.WithCancel(ctx)
	for i := range n {
		p := &simulated{fleet: f, number: i, file: record.File{Mount: "log", Path: "app.log", Rule: "default"}}
		binary.BigEndian.PutUint64(p.source.Sender[8:], uint64(i)+1)
		p.source.Epoch, p.source.Host, p.source.BootID = 1, hostName(i), "boot"
		if certs != nil {
			p.tunnel = certs.of(p.source.Host)
		}
		f.peers = append(f.peers, p)
		f.ended.Go(func() { p.run(ctx) })
	}
	return f
}

func hostName(number int) string { return fmt.Sprintf("host%05d", number) }

func (f *fleet) close() {
	f.stop()
	f.ended.Wait()
}

// perAddress is how many senders share an address of the loopback network.
const perAddress = 100

// dial is how a sender reaches the receiver.
func (p *simulated) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	host := p.number / perAddress
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(host/250), byte(host%250+1))}}
	nc, err := d.DialContext(ctx, "tcp", p.fleet.address)
	if err != nil || p.tunnel == nil {
		return nc, err
	}
	c, err := p.tunnel.Client(ctx, nc, loopback)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// write writes a frame, by few records of TLS.
func (p *simulated) write(frame net.Buffers) error {
	var err error
	if c, ok := p.nc.(*secure.Conn); ok {
		_, err = c.WriteBuffers(frame)
	} else {
		_, err = frame.WriteTo(p.nc)
	}
	return err
}

// The times between attempts, as internal/uplink has them.
const (
	backOffMin = 100 * time.Millisecond
	backOffMax = 30 * time.Second
)

// run keeps the connection until ctx ends.
func (p *simulated) run(ctx context.Context) {
	pause := backOffMin
	for ctx.Err() == nil {
		retry, err := p.connection(ctx)
		if err == nil {
			pause = backOffMin
		} else {
			p.fleet.failures.Add(1)
		}
		wait := max(pause/2+rand.N(pause/2+1), retry+rand.N(retry/4+1))
		pause = min(2*pause, backOffMax)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// connection serves one connection to its end. An error says that there was none; retry is what GOAWAY asked for.
func (p *simulated) connection(ctx context.Context) (retry time.Duration, err error) {
	nc, err := p.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	hello := wire.Hello{Versions: []uint64{wire.Version}, Sender: p.source.Sender, Epoch: 1, Instance: [16]byte{1},
		Host: wire.Text(p.source.Host), BootID: "boot", Streams: []record.Stream{p.source.Stream}}
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := nc.Write(hello.Append(nil)); err != nil {
		return 0, err
	}
	first, buf, err := wire.ReadControl(nc, nil)
	if err != nil {
		return 0, err
	}
	w, ok := first.(wire.Welcome)
	if !ok {
		return 0, fmt.Errorf("got %+v, want WELCOME", first)
	}
	p.begin(nc, w)
	defer p.end()
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return 0, nil
	}
	for {
		var f wire.Control
		if f, buf, err = wire.ReadControl(nc, buf); err != nil {
			return retry, nil
		}
		switch f := f.(type) {
		case wire.Ack:
			p.acknowledged(f.Through)
		case wire.Ping:
			p.mu.Lock()
			_, _ = nc.Write(wire.Pong(f).Append(nil)) // a broken connection shows above
			p.mu.Unlock()
		case wire.Goaway:
			return time.Duration(f.RetryMillis) * time.Millisecond, nil
		case wire.Nack:
			return 0, errors.New(string(f.Text))
		}
	}
}

func (p *simulated) begin(nc net.Conn, w wire.Welcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nc, p.sent, p.done, p.size = nc, 0, 0, p.size[:0]
	if len(w.Marks) > 0 {
		p.seq = w.Marks[0].Seq
	}
	p.fleet.connected.Add(1)
	p.fleet.connects.Add(1)
}

func (p *simulated) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nc = nil
	p.fleet.connected.Add(-1)
}

func (p *simulated) acknowledged(through uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := int(min(through, p.sent) - p.done)
	for _, lines := range p.size[:n] {
		p.fleet.acked.Add(lines)
	}
	p.done += uint64(n)
	p.size = append(p.size[:0], p.size[n:]...)
}

var program = record.Writer{Kind: record.Opener, PID: 1, UID: 1000, Comm: "app", Exe: "/usr/bin/app", Unit: "app.service"}

// send sends text, whole lines, as one batch. It returns false when there is no connection.
func (p *simulated) send(enc *wire.Encoder, text []byte) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nc == nil {
		return false, nil
	}
	p.seq++
	c := record.Chunk{Seq: p.seq, Source: &p.source, File: &p.file, Writer: &program, Handle: 1, Offset: p.seq * uint64(len(text)), Time: time.Now().UnixNano(),
		Records: uint32(len(text) / lineSize), CRC: record.CRC(text), Len: uint32(len(text)), Data: text}
	frame, _, err := enc.Batch(p.sent+1, []record.Chunk{c}, wire.None)
	if err != nil {
		return false, err
	}
	p.sent++
	p.size = append(p.size, int64(len(text)/lineSize))
	return p.write(frame) == nil, nil
}
