package plugin

import (
	"sync"
	"sync/atomic"
	"time"

	"ftfuse/internal/record"
)

// State is what a plug-in does.
type State int32

// The states.
const (
	Stopped State = iota // Run is not running
	Starting
	Running
	BackingOff // it ended by itself, and waits to be started again
)

func (s State) String() string {
	return [...]string{"stopped", "starting", "running", "backing-off"}[min(max(s, 0), BackingOff)]
}

// Stats are figures since New.
type Stats struct {
	State    State
	PID      int // 0: none
	Starts   uint64
	Restarts uint64    // ends that nobody asked for
	LastExit string    // how it ended last, "" if it never did
	ExitedAt time.Time // when

	Bytes   uint64 // written to it, repetitions included
	Records uint64 // of the chunks that it was given, repetitions included
	Gaps    uint64 // chunks that never came; what is shown of them is the format's
	Acks    uint64 // lines on its descriptor 3
	Again   uint64 // bytes that it was given and that came again after its end
	// Uncertain is in bytes: without acknowledgements, what it had read when it ended unasked, or with a status other than 0,
	// and may not have finished. Of each life that is what it read since it last had nothing to read for a second, and a
	// MiB at most: it is taken to hold no more than that.
	Uncertain uint64
	InFlight  int64         // bytes rendered and not acknowledged to the queue
	Lag       time.Duration // age of the oldest record of these; 0: none

	StdoutLines, StderrLines uint64 // those given to the journal or to our standard error
	StdoutBytes              uint64 // to a file or as records
	Dropped                  uint64 // lines that journald did not take; of a file and of records, failed pieces that were given up
	LastError                string // of the queue, its payload or its output
	LastErrorTime            time.Time
}

type counters struct {
	state                                  atomic.Int32
	pid                                    atomic.Int64
	starts, restarts, bytes, records, gaps atomic.Uint64
	acks, again, uncertain                 atomic.Uint64
	outLines, errLines, outBytes, dropped  atomic.Uint64

	mu        sync.Mutex // guards what follows
	lastExit  string
	exitedAt  time.Time
	lastError string
	erredAt   time.Time
}

func (c *counters) add(b *record.Batch) {
	for i := range b.Chunks {
		c.records.Add(uint64(b.Chunks[i].Records))
		if b.Chunks[i].Gap != nil {
			c.gaps.Add(1)
		}
	}
}

func (c *counters) ended(status string) {
	c.mu.Lock()
	c.lastExit, c.exitedAt = status, time.Now()
	c.mu.Unlock()
}

func (c *counters) failed(err error) {
	c.mu.Lock()
	c.lastError, c.erredAt = err.Error(), time.Now()
	c.mu.Unlock()
}

// Stats returns the figures now.
func (p *Plugin) Stats() Stats {
	c := &p.stats
	s := Stats{State: State(c.state.Load()), PID: int(c.pid.Load()), Starts: c.starts.Load(), Restarts: c.restarts.Load(),
		Bytes: c.bytes.Load(), Records: c.records.Load(), Gaps: c.gaps.Load(), Acks: c.acks.Load(), Again: c.again.Load(),
		Uncertain: c.uncertain.Load(), StdoutLines: c.outLines.Load(), StderrLines: c.errLines.Load(),
		StdoutBytes: c.outBytes.Load(), Dropped: c.dropped.Load()}
	c.mu.Lock()
	s.LastExit, s.ExitedAt, s.LastError, s.LastErrorTime = c.lastExit, c.exitedAt, c.lastError, c.erredAt
	c.mu.Unlock()
	p.mu.Lock()
	t := p.track
	p.mu.Unlock()
	if t != nil && s.PID != 0 {
		var since int64
		if s.InFlight, since = t.flight(); since > 0 {
			s.Lag = max(0, time.Since(time.Unix(0, since)))
		}
	}
	return s
}
