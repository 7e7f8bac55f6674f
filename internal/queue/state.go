package queue

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"ftfuse/internal/record"
)

// Tally counts input.
type Tally struct {
	Bytes   uint64 `json:"bytes"`
	Records uint64 `json:"records"`
}

func (t Tally) plus(o Tally) Tally { return Tally{t.Bytes + o.Bytes, t.Records + o.Records} }

// minus wraps around below zero; see recovery.reconcile, which is the one place where that can happen.
func (t Tally) minus(o Tally) Tally { return Tally{t.Bytes - o.Bytes, t.Records - o.Records} }

// tallies are counted per rule.
type tallies map[string]Tally

func (t tallies) add(rule string, n Tally) { t[rule] = t[rule].plus(n) }

// addSome is add that makes no row for nothing.
func (t tallies) addSome(rule string, n Tally) {
	if n != (Tally{}) {
		t.add(rule, n)
	}
}

func (t tallies) sub(rule string, n Tally) { t[rule] = t[rule].minus(n) }

// drops are counted per rule and reason. JSON writes the reason's number.
type drops map[string]map[record.Reason]Tally

func (d drops) add(rule string, why record.Reason, n Tally) {
	if d[rule] == nil {
		d[rule] = make(map[record.Reason]Tally)
	}
	d[rule][why] = d[rule][why].plus(n)
}

func (d drops) sum(rule string) (t Tally) {
	for _, n := range d[rule] {
		t = t.plus(n)
	}
	return t
}

// The format is in every record; a newer one than it knows is refused by a program. Each record has the oldest format
// that can say what it says, so that a step back to an older version is possible where it would do no harm.
const (
	plainFormat  = 1
	branchFormat = 2 // a cursor has a branch: an older program would deliver again what that has passed
	heirFormat   = 3 // a cursor gets what is for one that it has succeeded: an older program would pass over that
	stateFormat  = heirFormat
)

// epochMark says that from a position on the sender's own chunks belong to an epoch.
type epochMark struct {
	From  uint64 `json:"from"`
	Epoch uint64 `json:"epoch"`
}

// span is a run of positions that is known to be missing from the chain, with the own sequences that went with it.
type span struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	Seqs  [2]uint64
}

// queueRec is the queue's record in the meta database.
type queueRec struct {
	Format   int         `json:"format"`
	Sender   string      `json:"sender"`
	Clean    bool        `json:"clean"`  // closed in order; removed when it is opened
	Epoch    uint64      `json:"epoch"`  // newest given
	Epochs   []epochMark `json:"epochs"` // ascending
	Pos      uint64      `json:"pos"`    // last position when this was written: the chain must reach it
	Seq      uint64      `json:"seq"`    // last own sequence, likewise
	Captured tallies     `json:"captured"`
	Holes    []span      `json:"holes,omitempty"` // found once; not damage when found again
}

// cursorRec is one cursor's record in the meta database.
type cursorRec struct {
	Format int    `json:"format"`
	Name   string `json:"name"`
	placeRec
	Base      tallies     `json:"base"` // captured before the cursor began
	Delivered tallies     `json:"delivered"`
	Filtered  tallies     `json:"filtered"`
	Dropped   drops       `json:"dropped"`
	Epochs    []epochMark `json:"epochs"` // this destination's own moves, see NewEpoch
	Gaps      []gapRec    `json:"gaps,omitempty"`
	Branch    *branchRec  `json:"branch,omitempty"` // nil: there is none
	Former    []formerRec `json:"former,omitempty"`
	Streams   string      `json:"streams,omitempty"` // what its streams are named by; "": Name
}

// placeRec is how far a destination has come.
type placeRec struct {
	Acked  uint64  `json:"acked"`  // the destination answers for everything up to here
	Mark   markRec `json:"mark"`   // the sender's own stream there
	Handed uint64  `json:"handed"` // the destination may have seen positions up to here: what they hold never changes
}

// branchRec says that positions from From on are delivered beside those before. The place counts from there: From to
// Acked is the one run of positions that is passed ahead.
type branchRec struct {
	From uint64 `json:"from"`
	Seq  uint64 `json:"seq"` // last own sequence given before it
	placeRec
}

// markRec is a record.Durable.
type markRec struct {
	Sender string       `json:"sender,omitempty"`
	Epoch  uint64       `json:"epoch,omitempty"`
	Seq    uint64       `json:"seq,omitempty"`
	Chain  record.Chain `json:"chain,omitempty"`
}

func packMark(d record.Durable) markRec {
	if d == (record.Durable{}) {
		return markRec{}
	}
	return markRec{d.Sender.String(), d.Epoch, d.Seq, d.Chain}
}

func (m markRec) durable() record.Durable {
	id, err := record.ParseSenderID(m.Sender)
	if err != nil {
		return record.Durable{}
	}
	return record.Durable{Stream: record.Stream{Sender: id, Epoch: m.Epoch}, Seq: m.Seq, Chain: m.Chain}
}

// headMark is a mark of a relayed stream in a head.
type headMark struct {
	markRec
	At int64 `json:"at,omitempty"` // when it was touched, s since 1970; 0 in heads of older versions
}

func (m *headMark) touched() int64 { return m.At * int64(time.Second) }

// gapRec is a run of positions that a cursor reads as gaps.
type gapRec struct {
	First  uint64        `json:"first"`
	Last   uint64        `json:"last"`
	Reason record.Reason `json:"reason"`
	Parts  []gapPart     `json:"parts"` // one per stream
}

// gapPart is what is missing of one stream.
type gapPart struct {
	Own    bool   `json:"own,omitempty"`
	Sender string `json:"sender,omitempty"` // of others
	Epoch  uint64 `json:"epoch,omitempty"`  // of others
	First  uint64 `json:"first"`
	Last   uint64 `json:"last"`
	About  *about `json:"about,omitempty"` // nil only in records of older versions
	Tally
}

// headRec begins every database of the chain: the state before its first position.
type headRec struct {
	Format   int         `json:"format"`
	First    uint64      `json:"first"`
	Seq      uint64      `json:"seq"`
	Captured tallies     `json:"captured"`
	Marks    []headMark  `json:"marks"`   // relayed streams
	Queue    queueRec    `json:"queue"`   // copies of the meta database's records, for when that is lost
	Cursors  []cursorRec `json:"cursors"` //
}

// sealed puts a CRC-32C before the JSON form of v.
func sealed(v any) ([]byte, error) {
	js, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return append(binary.LittleEndian.AppendUint32(nil, record.CRC(js)), js...), nil
}

// unseal checks and decodes what sealed made.
func unseal(b []byte, v any) error {
	if len(b) < 4 {
		return fmt.Errorf("decode %T: got %d bytes, want at least 4: %w", v, len(b), record.ErrCorrupt)
	}
	if want, got := binary.LittleEndian.Uint32(b), record.CRC(b[4:]); got != want {
		return fmt.Errorf("decode %T: got checksum %08x, want %08x: %w", v, got, want, record.ErrCorrupt)
	}
	if err := json.Unmarshal(b[4:], v); err != nil {
		return fmt.Errorf("decode %T: %w: %w", v, err, record.ErrCorrupt)
	}
	return nil
}

// needs is the oldest format that can say what c says.
func (c *cursorRec) needs() int {
	switch {
	case len(c.Former) > 0:
		return heirFormat
	case c.Branch != nil:
		return branchFormat
	}
	return plainFormat
}

func (c *cursorRec) clone() cursorRec {
	n := *c
	n.Base, n.Delivered, n.Filtered = maps.Clone(c.Base), maps.Clone(c.Delivered), maps.Clone(c.Filtered)
	n.Dropped = make(drops, len(c.Dropped))
	for r, m := range c.Dropped {
		n.Dropped[r] = maps.Clone(m)
	}
	n.Epochs, n.Gaps, n.Former = slices.Clone(c.Epochs), slices.Clone(c.Gaps), slices.Clone(c.Former)
	if c.Branch != nil {
		b := *c.Branch
		n.Branch = &b
	}
	return n
}

// fill makes the maps of a new or decoded record.
func (c *cursorRec) fill() {
	for _, m := range []*tallies{&c.Base, &c.Delivered, &c.Filtered} {
		if *m == nil {
			*m = make(tallies)
		}
	}
	if c.Dropped == nil {
		c.Dropped = make(drops)
	}
}

func cloneTallies(t tallies) tallies {
	n := make(tallies, len(t))
	maps.Copy(n, t)
	return n
}
