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
	now map[record.Stream][]recalled // of the receiver that the present session talks to; nil before WELCOME
}

// recalled is where a stream stood behind a batch of the present session; number 0: behind what WELCOME said.
type recalled struct {
	number uint64
	record.Durable
}

// begin turns to a receiver, and reports the first of its marks that cannot be of what this process sent there. A receiver
// that is met for the first time is believed.
func (m *memory) begin(receiver record.SenderID, marks []record.Durable, own func(record.SenderID) bool) (odd *record.Durable) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, met := m.by[receiver]
	if !met {
		known = map[record.Stream][]recalled{}
		if m.by == nil {
			m.by = map[record.SenderID]map[record.Stream][]recalled{}
		}
		m.by[receiver] = known
	}
	m.now = known
	for i := range marks {
		d := &marks[i]
		if !own(d.Sender) {
			continue
		}
		if list := known[d.Stream]; met && len(list) > 0 && d.Seq >= list[0].Seq && !holds(list, *d) {
			return d
		}
		known[d.Stream] = []recalled{{0, *d}}
	}
	return nil
}

func holds(list []recalled, d record.Durable) bool {
	for _, r := range list {
		if r.Durable == d {
			return true
		}
	}
	return false
}

// sent notes where streams stand behind a batch that is about to be sent.
func (m *memory) sent(number uint64, marks []record.Durable) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range marks {
		m.now[d.Stream] = append(m.now[d.Stream], recalled{number, d})
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
