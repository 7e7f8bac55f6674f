package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

const (
	minCredit = 64 << 10 // bytes; a connection may always send one batch, so this keeps small batches flowing
	slowest   = 64 << 10 // bytes a second that a frame must come in, beside FrameTimeout
	queueLen  = 32       // frames read and not yet stored, of one connection
	groupMax  = 4 << 20  // payload bytes handed on at once
)

// Options of a Server. Zero values of numbers take the defaults in brackets.
type Options struct {
	Output Output
	Logger *slog.Logger    // [slog.Default()]
	ID     record.SenderID // of this receiver, kept with the marks; senders tell receivers apart by it, and data that has passed it is refused
	Name   string          // of this machine, for people
	Relay  func() bool     // whether what comes goes on to other receivers: data may not have passed as many relays as there may be [it does not]
	End    End             // who must answer before the peer is told, beside Output [nobody]
	Pulses *pulse.Group    // each connection has one, and is at work while it asks the output for marks

	// Secure opens TLS on an accepted connection and says who is at the other end, before ctx ends; its errors are best made
	// by Refused. nil: there is no TLS, and who a peer is says its address.
	Secure func(ctx context.Context, nc net.Conn) (net.Conn, Identity, error)

	Connections int   // at once, of all listeners and peers [512]
	PerAddress  int   // at once from one address, or IPv6 /64 [128]
	Memory      int64 // bytes of batches read and not yet stored, of all connections [32 MiB]
	Window      int64 // bytes under way on one connection, at most [8 MiB]
	Body        int   // bytes of one batch, decompressed [4 MiB]
	Chunks      int   // of one batch [8192]

	HandshakeTimeout time.Duration // from accept to HELLO [10 s]
	IdleTimeout      time.Duration // without any frame; peers ping three times as often [60 s]
	FrameTimeout     time.Duration // from a frame's first byte to its last, plus a second for each 64 KiB [30 s]
	WriteTimeout     time.Duration // for one ACK or other frame: the peer does not read [30 s]
	ProbeTimeout     time.Duration // for a former connection to show that it lives [3 s]
	StopTimeout      time.Duration // for storing what has been read when a connection ends [5 s]
	RetryMin         time.Duration // between attempts to store, doubling to RetryMax [50 ms]
	RetryMax         time.Duration // [5 s]
}

func (o *Options) complete() error {
	if o.Output == nil {
		return fmt.Errorf("new ingest: output: got none, want one")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Relay == nil {
		o.Relay = func() bool { return false }
	}
	for _, n := range []struct {
		name                  string
		at                    *int64
		value, least, highest int64
	}{
		{"memory", &o.Memory, 32 << 20, 2 * wire.MaxBody, 1 << 40},
		{"window", &o.Window, 8 << 20, minCredit, 1 << 30},
	} {
		if *n.at == 0 {
			*n.at = n.value
		}
		if *n.at < n.least || *n.at > n.highest {
			return fmt.Errorf("new ingest: %s: got %d, want %d to %d", n.name, *n.at, n.least, n.highest)
		}
	}
	for _, n := range []struct {
		name                  string
		at                    *int
		value, least, highest int
	}{
		{"connections", &o.Connections, 512, 1, 1 << 20},
		{"connections per address", &o.PerAddress, 128, 1, 1 << 20},
		{"body", &o.Body, 4 << 20, wire.MinBody, wire.MaxBody},
		{"chunks", &o.Chunks, 8192, 1, wire.MaxChunks},
	} {
		if *n.at == 0 {
			*n.at = n.value
		}
		if *n.at < n.least || *n.at > n.highest {
			return fmt.Errorf("new ingest: %s: got %d, want %d to %d", n.name, *n.at, n.least, n.highest)
		}
	}
	return o.completeTimes()
}

func (o *Options) completeTimes() error {
	for _, n := range []struct {
		name  string
		at    *time.Duration
		value time.Duration
	}{
		{"handshake timeout", &o.HandshakeTimeout, 10 * time.Second},
		{"idle timeout", &o.IdleTimeout, time.Minute},
		{"frame timeout", &o.FrameTimeout, 30 * time.Second},
		{"write timeout", &o.WriteTimeout, 30 * time.Second},
		{"probe timeout", &o.ProbeTimeout, 3 * time.Second},
		{"stop timeout", &o.StopTimeout, 5 * time.Second},
		{"shortest retry", &o.RetryMin, 50 * time.Millisecond},
		{"longest retry", &o.RetryMax, 5 * time.Second},
	} {
		if *n.at == 0 {
			*n.at = n.value
		}
		if *n.at < 0 {
			return fmt.Errorf("new ingest: %s: got %v, want more than 0", n.name, *n.at)
		}
	}
	if o.IdleTimeout < time.Second {
		return fmt.Errorf("new ingest: idle timeout: got %v, want at least 1s, which is the least that can be advertised", o.IdleTimeout)
	}
	return nil
}

func (o *Options) limits() wire.Limits {
	return wire.Limits{Body: uint64(o.Body), Chunks: uint64(o.Chunks), IdleMillis: uint64(o.IdleTimeout.Milliseconds()), Codecs: wire.AllCodecs}
}
