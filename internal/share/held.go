package share

import "ftfuse/internal/record"

// holdings is how far streams are acknowledged, or proved to be held, beyond what the backlog knows. Streams bear their parts' ids.
// Two maps take turns, so that what the backlog has passed is forgotten.
type holdings struct {
	young, old map[record.Stream]uint64
	until      uint64 // a position; behind it old says nothing of use
}

// many is how many streams make young old.
const many = 4096

func (h *holdings) at(s record.Stream) uint64 { return max(h.young[s], h.old[s]) }

func (h *holdings) raise(s record.Stream, seq uint64) {
	if h.young == nil {
		h.young = map[record.Stream]uint64{}
	}
	h.young[s] = max(h.young[s], seq)
}

// passed is told up to where everything is acknowledged and what was read last.
func (h *holdings) passed(done, top uint64) {
	if h.old != nil && done >= h.until {
		h.old = nil
	}
	if h.old == nil && len(h.young) > many {
		h.old, h.young, h.until = h.young, nil, top
	}
}
