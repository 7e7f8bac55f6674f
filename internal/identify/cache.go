package identify

import (
	"sync"

	"ftfuse/internal/record"
)

// shard remembers the threads whose id falls into it, at most cap(slots). When full it gives up an entry that was not
// used since the hand passed it last.
type shard struct {
	mu    sync.Mutex // held also over the pread of an entry, so that its descriptor is not closed meanwhile
	byTID map[uint32]int
	slots []entry // guarded by mu
	hand  int     // guarded by mu
}

func (s *shard) init(size int) {
	s.byTID = make(map[uint32]int, size)
	s.slots = make([]entry, 0, size)
}

// lookup returns the remembered writer if the thread is still the same, else nil.
func (s *shard) lookup(tid uint32, kind record.WriterKind, uid, gid uint32) *record.Writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.byTID[tid]
	if !ok || !s.slots[i].alive() {
		return nil
	}
	s.slots[i].used = true
	return s.slots[i].writer(kind, uid, gid)
}

// put remembers e in the place of an older entry of the same thread id, or of one that is out of use.
func (s *shard) put(e entry, kind record.WriterKind, uid, gid uint32) *record.Writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.byTID[e.tid]
	if !ok {
		i = s.place()
	}
	old := &s.slots[i]
	if old.tid == e.tid && old.alive() { // the start time would not do: it counts ticks of 10 ms
		e.keep(old)
	}
	old.close()
	*old = e
	old.used = true
	s.byTID[e.tid] = i
	return old.writer(kind, uid, gid)
}

// keep takes over the writers of an older reading of the same thread that still say the same.
func (e *entry) keep(old *entry) {
	if e.pid == old.pid && e.comm == old.comm && e.exe == old.exe && e.unit == old.unit && e.container == old.container {
		e.writers, e.turn = old.writers, old.turn
	}
}

// place returns a slot that may be overwritten and whose thread id is forgotten. The caller holds mu.
func (s *shard) place() int {
	if len(s.slots) < cap(s.slots) {
		s.slots = append(s.slots, entry{fd: -1})
		return len(s.slots) - 1
	}
	for s.slots[s.hand].used {
		s.slots[s.hand].used = false
		s.hand = (s.hand + 1) % len(s.slots)
	}
	i := s.hand
	s.hand = (s.hand + 1) % len(s.slots)
	delete(s.byTID, s.slots[i].tid)
	return i
}

// clear forgets everything and closes the descriptors.
func (s *shard) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.slots {
		s.slots[i].close()
	}
	s.slots = s.slots[:0]
	s.hand = 0
	clear(s.byTID)
}
