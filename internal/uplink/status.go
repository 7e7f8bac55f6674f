package uplink

import (
	"sync"
	"sync/atomic"
	"time"

	"ftfuse/internal/record"
)

// State is what an uplink is doing.
type State uint8

// The states; String gives the names used in status.
const (
	Idle       State = iota // Run has not been called
	Connecting              // dialling, or shaking hands
	Connected               // sending, or nothing to send
	Draining                // waiting for the last acknowledgements
	Waiting                 // pausing before the next attempt
	Stopped                 // Run has returned
)

func (s State) String() string {
	return [...]string{"idle", "connecting", "connected", "draining", "waiting", "stopped"}[min(s, Stopped)]
}

// Status is a snapshot. Counters are since New.
type Status struct {
	State     State
	Since     time.Time // of the state
	Turned    time.Time // when it became connected last, or ceased to be; zero before Run
	Address   string    // of the receiver, while connected
	Receiver  Receiver  // that answered last
	RTT       time.Duration
	LastFrame time.Time // from the receiver
	LastAck   time.Time // of something; zero if there was none

	Credit  uint64    // bytes the receiver grants now
	Bytes   int64     // of bodies under way
	Batches int       // under way
	Oldest  time.Time // when the oldest of those was sent; zero if none

	SentBatches, SentChunks, SentBytes, WireBytes uint64 // payload bytes; bytes of frames
	AckedBatches, AckedChunks, AckedBytes         uint64
	SentRecords, AckedRecords                     uint64
	SkippedChunks, SkippedBytes                   uint64 // the receiver had them already
	Drops                                         uint64 // entries given up as damaged or refused
	Connects, Failures, Epochs                    uint64 // handshakes done, connections failed, new epochs begun

	LastError   string // "" if the present connection is well
	LastErrorAt time.Time
}

// Receiver is who answers.
type Receiver struct {
	ID   record.SenderID // zero: nobody yet, or an older version
	Name string          // of its machine
}

// status is written by the goroutines of Run and read by anybody.
type status struct {
	sentBatches, sentChunks, sentBytes, wireBytes atomic.Uint64
	ackedBatches, ackedChunks, ackedBytes         atomic.Uint64
	sentRecords, ackedRecords                     atomic.Uint64
	skippedChunks, skippedBytes                   atomic.Uint64
	drops, connects, failures, epochs             atomic.Uint64
	rtt, latest                                   atomic.Int64

	mu      sync.Mutex // guards the fields below
	state   State
	since   time.Time
	turned  time.Time
	lastAck time.Time
	address string
	who     Receiver
	track   *tracker // of the present connection, or nil
	last    string
	lastAt  time.Time
	told    bool // last has been logged since things last went well
}

func (s *status) set(state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != state {
		s.state, s.since = state, time.Now()
	}
	if state != Connected && state != Draining {
		if s.track != nil || s.turned.IsZero() {
			s.turned = time.Now()
		}
		s.track, s.address = nil, ""
	}
}

func (s *status) connected(address string, who Receiver, t *tracker) {
	s.connects.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.state, s.since, s.turned, s.address, s.who, s.track = Connected, now, now, address, who, t
}

// well is called when something was acknowledged.
func (s *status) well() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.told, s.lastAck = "", false, time.Now()
}

// failed returns true if this is the first failure since things went well.
func (s *status) failed(err error) bool {
	s.failures.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.lastAt = err.Error(), time.Now()
	first := !s.told
	s.told = true
	return first
}

// Status returns a snapshot.
func (u *Uplink) Status() Status {
	s := &u.status
	st := Status{
		RTT:         time.Duration(s.rtt.Load()),
		SentBatches: s.sentBatches.Load(), SentChunks: s.sentChunks.Load(), SentBytes: s.sentBytes.Load(), WireBytes: s.wireBytes.Load(),
		AckedBatches: s.ackedBatches.Load(), AckedChunks: s.ackedChunks.Load(), AckedBytes: s.ackedBytes.Load(),
		SentRecords: s.sentRecords.Load(), AckedRecords: s.ackedRecords.Load(),
		SkippedChunks: s.skippedChunks.Load(), SkippedBytes: s.skippedBytes.Load(),
		Drops: s.drops.Load(), Connects: s.connects.Load(), Failures: s.failures.Load(), Epochs: s.epochs.Load(),
	}
	if ns := s.latest.Load(); ns != 0 {
		st.LastFrame = time.Unix(0, ns)
	}
	s.mu.Lock()
	st.State, st.Since, st.Turned, st.LastAck, st.Address, st.LastError, st.LastErrorAt = s.state, s.since, s.turned, s.lastAck, s.address, s.last, s.lastAt
	st.Receiver = s.who
	track := s.track
	s.mu.Unlock()
	if track != nil {
		st.Credit, st.Bytes, st.Batches, st.Oldest = track.snapshot()
	}
	return st
}
