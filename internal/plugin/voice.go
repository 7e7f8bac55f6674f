package plugin

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"ftfuse/internal/journald"
)

// The priorities of a child's lines (syslog(3)), as digits.
const (
	infoPriority    = '6'
	warningPriority = '4'
)

// busyWait is how long a line waits for a journald that does not read; after one that waited in vain none does, until
// journald has taken one again.
const busyWait = time.Second

// voice gives what children say to the journal, or where there is none, to our standard error.
type voice struct {
	o     *Options
	stats *counters
	tail  []byte // fields that are always the same

	mu    sync.Mutex // guards what follows; held over a Send, which is bounded by busyWait
	conn  journald.Conn
	entry []byte
}

func newVoice(o *Options, stats *counters) *voice {
	v := &voice{o: o, stats: stats, conn: journald.Conn{Path: o.Socket, Wait: busyWait}}
	v.tail = journald.Field(nil, "SYSLOG_IDENTIFIER", o.Identifier)
	v.tail = journald.Field(v.tail, "FTFUSE_OUTPUT", o.Name)
	for _, k := range slices.Sorted(maps.Keys(o.Fields)) {
		for _, value := range o.Fields[k] {
			v.tail = journald.Field(v.tail, k, value)
		}
	}
	return v
}

// say passes one line on. It never waits for long: what journald does not take is counted, and dropped.
func (v *voice) say(pid int, priority byte, line []byte) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := journald.Field(v.entry[:0], "MESSAGE", line)
	b = journald.Field(b, "PRIORITY", string(priority))
	b = journald.Number(b, "FTFUSE_PLUGIN_PID", uint64(pid))
	v.entry = append(b, v.tail...)
	err := v.conn.Send(context.Background(), v.entry)
	switch {
	case err == nil:
		v.conn.Wait = busyWait
		return true
	case errors.Is(err, journald.ErrBusy):
		v.conn.Wait = 0
	default: // no journald here
		text := append(append([]byte(v.o.Name), ": "...), line...)
		if _, err := v.o.Stderr.Write(append(text, '\n')); err == nil {
			return true
		}
	}
	v.stats.dropped.Add(1)
	return false
}

func (v *voice) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.conn.Close()
}
