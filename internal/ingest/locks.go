package ingest

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"

	"ftfuse/internal/record"
)

// locks lets one connection at a time store chunks of a stream: between looking at a mark and moving it, nobody
// else may store the same chunks. A sender that reconnects under a new epoch, and relays, can bring one stream twice.
type locks struct {
	mu   sync.Mutex
	held map[record.Stream]*lock
}

type lock struct {
	token chan struct{} // full while locked
	users int           // holding or waiting; guarded by locks.mu
}

// lock takes all streams, which must be in streamsOf's order: so nobody waits in a circle.
func (l *locks) lock(ctx context.Context, streams []record.Stream) error {
	for i, s := range streams {
		l.mu.Lock()
		k := l.held[s]
		if k == nil {
			k = &lock{token: make(chan struct{}, 1)}
			l.held[s] = k
		}
		k.users++
		l.mu.Unlock()
		select {
		case k.token <- struct{}{}:
		case <-ctx.Done():
			l.forget(s, k)
			l.unlock(streams[:i])
			return ctx.Err()
		}
	}
	return nil
}

func (l *locks) unlock(streams []record.Stream) {
	for _, s := range streams {
		l.mu.Lock()
		k := l.held[s]
		l.mu.Unlock()
		<-k.token
		l.forget(s, k)
	}
}

func (l *locks) forget(s record.Stream, k *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.held, s)
	}
}

// streamsOf returns each stream of chunks once, in one order for everybody.
func streamsOf(chunks []record.Chunk) []record.Stream {
	var list []record.Stream
	var last *record.Source
	for i := range chunks {
		if s := chunks[i].Source; s != last {
			last = s
			if !slices.Contains(list[max(0, len(list)-8):], s.Stream) { // cheap; Compact below does the rest
				list = append(list, s.Stream)
			}
		}
	}
	slices.SortFunc(list, func(a, b record.Stream) int {
		return cmp.Or(bytes.Compare(a.Sender[:], b.Sender[:]), cmp.Compare(a.Epoch, b.Epoch))
	})
	return slices.Compact(list)
}
