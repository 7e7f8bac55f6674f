package uplink

import (
	"sync"

	"ftfuse/internal/record"
)

// memory is what this process knows of the receivers that one uplink has talked to: up to where each holds, or may hold,
// this sender's streams. Where a target has several receivers, the queue's own note of what is acknowledged is of whichever
// took it last, and says nothing of the others.
type memory struct {
	mu  sync.Mutex // guards by
	by  map[record.SenderID]map[record.Stream][]recalled
	now map[record.Stream][]recalled // of the receiver that the present session talks to: streams that it was asked for; nil before WELCOME
}

// recalled is where a stream stood behind a batch of the present session; number 0: behind what WELCOME said.
type recalled struct {
	number uint64
	record.Durable
}

// begin turns to a receiver that was asked for streams, and reports the first of its marks that cannot be of what this process
// sent there. A receiver that is met for the first time is believed, and so is a mark between two batches' ends: what is
// stored of a batch is the receiver's matter.
func (m *memory) begin(receiver record.SenderID, asked []record.Stream, marks []record.Durable, own func(record.SenderID) bool) (odd *record.Durable) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.by[receiver]
	if receiver == (record.SenderID{}) { // an older version: there may be several of them
		known = nil
	}
	if m.by == nil {
		m.by = map[record.SenderID]map[record.Stream][]recalled{}
	}
	m.now = map[record.Stream][]recalled{}
	for _, s := range asked { // of others nothing is known, now or later
		if own(s.Sender) {
			m.now[s] = []recalled{{0, record.Durable{Stream: s}}}
		}
	}
	for i := range marks {
		d := &marks[i]
		if _, ours := m.now[d.Stream]; !ours {
			continue
		}
		if list := known[d.Stream]; len(list) > 0 && d.Seq >= list[0].Seq && !holds(list, *d) {
			return d
		}
		m.now[d.Stream] = []recalled{{0, *d}}
	}
	m.by[receiver] = m.now
	return nil
}

// holds says that a receiver that has been brought along list may be at d.
func holds(list []recalled, d record.Durable) bool {
	for _, r := range list {
		if r.Seq >= d.Seq {
			return r.Seq > d.Seq || r.Chain == d.Chain
		}
	}
	return false
}

// sent notes where streams stand behind a batch that is about to be sent.
func (m *memory) sent(number uint64, marks []record.Durable) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range marks {
		if list := m.now[d.Stream]; len(list) > 0 {
			m.now[d.Stream] = append(list, recalled{number, d})
		}
	}
}

// acked forgets what lies before the last batch that the receiver answers for.
func (m *memory) acked(through uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for s, list := range m.now {
		n := 0
		for n+1 < len(list) && list[n+1].number <= through {
			n++
		}
		if n > 0 {
			m.now[s] = append(list[:0], list[n:]...)
		}
	}
}
