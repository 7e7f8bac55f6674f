// Package receiver lets a Go program receive what ftfuse senders deliver: batches of what programs wrote to files, with who wrote it.
//
// A program gives a Store and a listener:
//
//	server, err := receiver.New(receiver.Options{Store: store})
//	...
//	err = server.Serve(ctx, listener)
//
// The server speaks the protocol, drops what the store has already, and hands the rest to Store.Put. When Put returns
// nil the batch is acknowledged, and the sender forgets it. When Put returns an error the server tries again, later
// and later; the sender keeps the data and waits.
//
// # Once
//
// A connection may break after Put and before the acknowledgement, and the program may be killed there: then the
// sender delivers the batch again. So that it is stored once, the store says how far it holds each stream. A Mark is the
// sequence of the last chunk and a chain: a checksum over all chunks so far, by which a sender notices that the
// receiver holds other data under the same names (a restored backup, a cloned machine) and begins a new epoch. Batch.Advances has the
// marks behind a batch. A store that writes them in one transaction with the chunks, and reads them in
// Store.Mark, stores each chunk exactly once, whatever is killed when. It must not make up, drop or change marks.
//
// AtLeastOnce makes a Store of a function, for programs that can bear to get the last batch twice after a crash.
// The folder examples/ftfuse-sqlite has a program that keeps lines in SQLite, exactly once.
//
// # Encryption
//
// Serve takes any stream listener; with one of tls.NewListener senders connect by TLS.
package receiver

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"ftfuse/internal/ingest"
)

// Options of a Server. Zero values take the defaults in brackets.
type Options struct {
	Store  Store        // required
	Logger *slog.Logger // for connections and trouble, not for data [slog.Default()]

	Connections int           // at once [512]
	PerAddress  int           // at once from one address, or IPv6 /64 [128]
	Memory      int64         // bytes of batches read and not yet stored, of all connections; at least 16 MiB [32 MiB]
	Window      int64         // bytes under way on one connection, at most [8 MiB]
	IdleTimeout time.Duration // a connection without any frame is closed; at least a second [60 s]
	StopTimeout time.Duration // for storing what has been read when a connection or Serve ends [5 s]
	RetryMin    time.Duration // between attempts to store, doubling to RetryMax [50 ms]
	RetryMax    time.Duration // [5 s]
}

// Server takes connections from any number of listeners: several calls of Serve may run at once and share its limits.
type Server struct{ ingest *ingest.Server }

// New checks the options. It starts nothing.
func New(o Options) (*Server, error) {
	if o.Store == nil {
		return nil, fmt.Errorf("new receiver: store: got none, want one")
	}
	s, err := ingest.New(ingest.Options{
		Output: output{o.Store}, Logger: o.Logger,
		Connections: o.Connections, PerAddress: o.PerAddress, Memory: o.Memory, Window: o.Window,
		IdleTimeout: o.IdleTimeout, StopTimeout: o.StopTimeout, RetryMin: o.RetryMin, RetryMax: o.RetryMax,
	})
	if err != nil {
		return nil, fmt.Errorf("new receiver: %w", err)
	}
	return &Server{s}, nil
}

// Serve accepts connections until ctx ends, then lets each store and acknowledge what it has read, for at most
// StopTimeout, and returns nil when all are closed. It closes ln. An error says that ln cannot be listened on any more; what a
// peer does is never one.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if err := s.ingest.Serve(ctx, ln); err != nil {
		return fmt.Errorf("receiver: %w", err)
	}
	return nil
}

// Status is what a server has done since New.
type Status struct {
	Connections int               // open now
	Chunks      uint64            // received
	Bytes       uint64            // of payload, received
	Records     uint64            // received whole
	Duplicates  uint64            // chunks that the store had already
	Failures    uint64            // errors of Store, all of which were tried again
	Refused     map[string]uint64 // connections refused or cut, by reason
	Senders     []Sender          // connected now, by host
}

// Sender is a connected sender.
type Sender struct {
	Stream           // what it captures now
	Host      string // its name
	Address   string // HOST:PORT
	Since     time.Time
	LastError string // of Store, "" if the last attempt succeeded
}

// Status returns a snapshot.
func (s *Server) Status() Status {
	st := s.ingest.Status()
	out := Status{
		Connections: st.Connections, Chunks: st.Chunks, Bytes: st.Bytes, Records: st.Records,
		Duplicates: st.DuplicateChunks, Failures: st.Failures, Refused: st.Refused,
	}
	for _, p := range st.Peers {
		out.Senders = append(out.Senders, Sender{
			Stream: Stream{SenderID(p.Sender), p.Epoch}, Host: p.Host, Address: p.Address, Since: p.Since, LastError: p.LastError,
		})
	}
	return out
}
