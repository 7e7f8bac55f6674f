package ingest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// Reason says why a connection was refused or cut.
type Reason uint8

// The reasons; String gives the names used in status and metrics.
const (
	TooMany           Reason = iota // more connections than allowed
	TooManyPerAddress               // more connections from one address than allowed
	NoHello                         // no HELLO in time
	Stray                           // something else than HELLO
	WrongVersion                    // no version in common
	Clone                           // sender and epoch are in use by another process
	Waiting                         // the former connection has not ended yet
	Oversized                       // a frame or a batch larger than advertised
	Malformed                       // a frame that cannot be decoded, or out of order
	BadSum                          // a payload that does not have its checksum
	BeyondCredit                    // more under way than was granted
	Slow                            // a frame that came too slowly
	Silent                          // nothing for the idle timeout
	Deaf                            // does not read what is sent to it
	NotTaken                        // the output refused a batch for good
	NoMarks                         // the output cannot say what it holds
	Looping                         // data that has been here before, or has passed too many relays
	Flooding                        // frames other than batches, too many a second
	Plaintext                       // no TLS where it is wanted
	NoCertificate                   // TLS without a certificate
	Untrusted                       // a certificate that is not accepted
	BrokenTLS                       // another failure of TLS
	DeniedPeer                      // an identity that may not send
	DeniedHost                      // a host name that the peer may not use
	DeniedPath                      // a file that the peer may not send
	DeniedRelay                     // what others have captured, of a peer that is no relay
	TooManyPerPeer                  // more connections of one allowance than it has
	reasonsEnd
)

func (r Reason) String() string {
	return [...]string{"too_many", "too_many_per_address", "no_hello", "stray", "wrong_version", "clone", "waiting", "oversized",
		"malformed", "bad_sum", "beyond_credit", "slow", "silent", "deaf", "not_taken", "no_marks", "looping", "flooding", "plaintext", "no_certificate", "untrusted", "broken_tls",
		"denied_peer", "denied_host", "denied_path", "denied_relay", "too_many_per_peer", "unknown"}[min(r, reasonsEnd)]
}

// refusal ends a connection: counted, logged, and told to the peer.
type refusal struct {
	reason Reason
	nack   wire.Nack
	mute   bool // the peer is not told: TLS has told it, in its way
}

func (r *refusal) Error() string { return fmt.Sprintf("%v: %s", r.reason, r.nack.Text) }

func refuse(reason Reason, code wire.Code, number uint64, format string, args ...any) *refusal {
	return &refusal{reason: reason, nack: wire.Nack{Code: code, Number: number, Text: wire.Text(fmt.Sprintf(format, args...))}}
}

// flow counts what came, of one peer or of all.
type flow struct {
	batches, chunks, bytes, records                   atomic.Uint64 // received and decoded; bytes of payload
	duplicateChunks, duplicateBytes, duplicateRecords atomic.Uint64 // of those, known already
	storedChunks, storedBytes, storedRecords          atomic.Uint64 // of those, taken by the output
	failures                                          atomic.Uint64 // attempts to store that failed and were tried again
	wireBytes                                         atomic.Uint64 // BATCH frames, as they came
}

type counters struct {
	flow
	accepted atomic.Uint64
	refused  [reasonsEnd]atomic.Uint64
}

// Flow is a snapshot of counters since the start of the server, or of the connection.
type Flow struct {
	Batches, Chunks, Bytes, Records                   uint64 // received; bytes are payload
	DuplicateChunks, DuplicateBytes, DuplicateRecords uint64 // of those, known already and dropped
	StoredChunks, StoredBytes, StoredRecords          uint64 // of those, handed on
	Failures                                          uint64 // attempts to hand on that failed
	WireBytes                                         uint64 // bytes of frames
}

func (f *flow) snapshot() Flow {
	return Flow{
		Batches: f.batches.Load(), Chunks: f.chunks.Load(), Bytes: f.bytes.Load(), Records: f.records.Load(),
		DuplicateChunks: f.duplicateChunks.Load(), DuplicateBytes: f.duplicateBytes.Load(), DuplicateRecords: f.duplicateRecords.Load(),
		StoredChunks: f.storedChunks.Load(), StoredBytes: f.storedBytes.Load(), StoredRecords: f.storedRecords.Load(),
		Failures: f.failures.Load(), WireBytes: f.wireBytes.Load(),
	}
}

// Status is what a server says of itself.
type Status struct {
	Flow
	Connections int
	Accepted    uint64
	Refused     map[string]uint64 // by Reason
	Peers       []Peer            // by host, then sender
}

// Peer is one connection past its handshake.
type Peer struct {
	Flow
	Sender    record.SenderID
	Epoch     uint64
	Host      string
	Address   string
	Identity  string // what its certificate says; without TLS its address
	Secure    bool   // by TLS
	Allowance string // that it works under
	Paused    string // why it has no credit, "" if it has
	Since     time.Time
	LastFrame time.Time
	Acked     uint64 // batches of this connection
	Credit    uint64 // bytes granted last
	RTT       time.Duration
	LastError string // of the output, "" if the last attempt succeeded
}

// Status returns a snapshot.
func (s *Server) Status() Status {
	st := Status{Flow: s.stats.snapshot(), Accepted: s.stats.accepted.Load(), Refused: map[string]uint64{}}
	for r := range reasonsEnd {
		st.Refused[r.String()] = s.stats.refused[r].Load()
	}
	s.mu.Lock()
	st.Connections = s.conns
	live := make([]*conn, 0, len(s.peers))
	for _, c := range s.peers {
		live = append(live, c)
	}
	s.mu.Unlock()
	for _, c := range live {
		st.Peers = append(st.Peers, c.status())
	}
	slices.SortFunc(st.Peers, func(a, b Peer) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), bytes.Compare(a.Sender[:], b.Sender[:]), cmp.Compare(a.Epoch, b.Epoch))
	})
	return st
}
