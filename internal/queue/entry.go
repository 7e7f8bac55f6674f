package queue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// An entry is what lies at one position: chunks of one stream and one rule. Its value is
//
//	uvarint length of the summary, CRC-32C of the summary (4 bytes, little endian), summary, wire entry
//
// The summary repeats what accounting, expiry and release need, so that opening a queue and dropping from it
// decode no chunks (200 ns instead of 3 us an entry). Written once, read by every later version.
const (
	summaryVersion = 1
	maxSummary     = 8 << 20 // bytes: the extents of the largest entry fit
	maxRunChunks   = 512     // chunks of one entry: what cannot be delivered is dropped by the entry
	maxRunBytes    = 1 << 20 // payload of one entry, unless a single chunk is larger
)

// summary is the short form of an entry.
type summary struct {
	rule        string
	own         bool          // of this sender: the epoch follows from the position
	stream      record.Stream // of others; zero for own
	chain       record.Chain  // of others: the stream's chain after the entry, as appended
	before      behind        // of others: where the stream stood before the entry; zero in entries of older versions
	first, last uint64        // sequences
	reason      record.Reason // not 0: the entry is one own Gap chunk, and bytes and records are the gap's
	newest      int64         // time of the newest chunk, ns since 1970
	bytes       uint64        // payload, queued or missing
	records     uint64
	held        uint64   // payload bytes that the entry keeps alive: Extents and Data
	cut         Tally    // of bytes and records, what filters took out
	hollow      bool     // that is all of them: no destination gets anything
	targets     []string // destinations that it is for; nil: all
	extents     []record.Extent
}

// tally is all that the entry stands for, as it was captured.
func (s *summary) tally() Tally { return Tally{s.bytes, s.records} }

// kept is what is left of tally for a destination that wants the entry.
func (s *summary) kept() Tally { return s.tally().minus(s.cut) }

// wanted says whether the entry is for the destination of a name; see cursorRec.wants.
func (s *summary) wanted(cursor string) bool {
	return !s.hollow && (s.targets == nil || slices.Contains(s.targets, cursor))
}

// ageless entries are never expired: a gap has no payload to get rid of.
func (s *summary) ageless() bool { return s.held == 0 }

// summarize describes a run that cutRuns made. Sequences are set already.
func summarize(run []record.Chunk, own bool) summary {
	c := &run[0]
	s := summary{own: own, first: c.Seq, last: run[len(run)-1].Seq, newest: math.MinInt64, hollow: c.Hollow(), targets: c.Targets}
	if c.File != nil {
		s.rule = c.File.Rule
	}
	if !own {
		s.stream = c.Source.Stream
	}
	for i := range run {
		c := &run[i]
		s.newest = max(s.newest, c.Time)
		if c.Gap != nil {
			if own {
				s.reason, s.bytes, s.records = c.Gap.Reason, c.Gap.Bytes, c.Gap.Records
			}
			continue
		}
		s.bytes += uint64(c.Input())
		s.held += uint64(c.Len)
		s.records += uint64(c.Records) + uint64(c.Cut.Records)
		s.cut = s.cut.plus(Tally{uint64(c.Cut.Bytes), uint64(c.Cut.Records)})
		s.extents = append(s.extents, c.Extents...)
	}
	return s
}

// cutRuns splits chunks where the stream, the rule or the destinations change, around gaps, and where an entry gets too large.
func cutRuns(chunks []record.Chunk, yield func(run []record.Chunk)) {
	start, bytes := 0, int64(0)
	for i := range chunks {
		c := &chunks[i]
		if i > start && (!sameRun(&chunks[start], c) || i-start >= maxRunChunks || bytes+int64(c.Len) > maxRunBytes) {
			yield(chunks[start:i])
			start, bytes = i, 0
		}
		bytes += int64(c.Len)
	}
	if start < len(chunks) {
		yield(chunks[start:])
	}
}

func sameRun(a, b *record.Chunk) bool {
	if a.Gap != nil || b.Gap != nil {
		return false
	}
	return a.Source.Stream == b.Source.Stream && a.File.Rule == b.File.Rule && a.Hollow() == b.Hollow() && slices.Equal(a.Targets, b.Targets)
}

func appendEntry(dst []byte, s *summary, run []record.Chunk) []byte {
	var body [256]byte
	b := s.append(body[:0])
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	dst = binary.LittleEndian.AppendUint32(dst, record.CRC(b))
	dst = append(dst, b...)
	return wire.AppendEntry(dst, run)
}

// The flags of a summary.
const (
	flagOwn    = 1 << iota
	flagRuled  // cut and targets follow the extents
	flagHollow // nothing is to be delivered
	flagBefore // where the stream stood before the entry comes last
)

func (s *summary) flags() byte {
	f := byte(0)
	if s.own {
		f |= flagOwn
	}
	if s.cut != (Tally{}) || s.targets != nil {
		f |= flagRuled
	}
	if s.hollow {
		f |= flagHollow
	}
	if s.before.seq > 0 {
		f |= flagBefore
	}
	return f
}

func (s *summary) append(b []byte) []byte {
	flags := s.flags()
	b = append(b, summaryVersion, flags, byte(s.reason))
	if !s.own {
		b = append(b, s.stream.Sender[:]...)
		b = binary.AppendUvarint(b, s.stream.Epoch)
		b = binary.AppendUvarint(b, uint64(s.chain))
	}
	b = binary.AppendUvarint(b, s.first)
	b = binary.AppendUvarint(b, s.last-s.first)
	b = binary.AppendVarint(b, s.newest)
	b = binary.AppendUvarint(b, s.bytes)
	b = binary.AppendUvarint(b, s.records)
	b = binary.AppendUvarint(b, s.held)
	b = binary.AppendUvarint(b, uint64(len(s.rule)))
	b = append(b, s.rule...)
	b = binary.AppendUvarint(b, uint64(len(s.extents)))
	for _, e := range s.extents {
		b = binary.AppendUvarint(b, e.Spool)
		b = binary.AppendUvarint(b, uint64(e.Off))
		b = binary.AppendUvarint(b, uint64(e.Len))
	}
	if flags&flagRuled != 0 {
		b = binary.AppendUvarint(b, s.cut.Bytes)
		b = binary.AppendUvarint(b, s.cut.Records)
		b = binary.AppendUvarint(b, uint64(len(s.targets)))
		for _, t := range s.targets {
			b = binary.AppendUvarint(b, uint64(len(t)))
			b = append(b, t...)
		}
	}
	if flags&flagBefore != 0 {
		b = binary.AppendUvarint(b, s.before.seq)
		b = binary.LittleEndian.AppendUint64(b, uint64(s.before.chain))
	}
	return b
}

// splitEntry returns the checked summary's bytes and the wire entry.
func splitEntry(v []byte) (sum, rest []byte, err error) {
	n, k := binary.Uvarint(v)
	if k <= 0 || n > maxSummary || uint64(len(v)-k) < 4+n {
		return nil, nil, fmt.Errorf("read entry: got %d bytes with a summary of %d: %w", len(v), n, record.ErrCorrupt)
	}
	crc := binary.LittleEndian.Uint32(v[k:])
	sum, rest = v[k+4:k+4+int(n)], v[k+4+int(n):]
	if got := record.CRC(sum); got != crc {
		return nil, nil, fmt.Errorf("read entry: summary: got checksum %08x, want %08x: %w", got, crc, record.ErrCorrupt)
	}
	return sum, rest, nil
}

// readSummary decodes an entry's summary, copying all that it keeps.
func readSummary(v []byte) (summary, error) {
	sum, _, err := splitEntry(v)
	if err != nil {
		return summary{}, err
	}
	return parseSummary(sum)
}

// readEntry decodes a whole entry. Data of the chunks lies in v.
func readEntry(v []byte) (summary, []record.Chunk, error) {
	sum, rest, err := splitEntry(v)
	if err != nil {
		return summary{}, nil, err
	}
	s, err := parseSummary(sum)
	if err != nil {
		return s, nil, err
	}
	chunks, err := wire.DecodeEntry(rest)
	if err == nil && len(chunks) == 0 {
		err = fmt.Errorf("read entry: got no chunks: %w", record.ErrCorrupt)
	}
	return s, chunks, err
}

// varints reads numbers until one is missing; then everything reads as 0 and bad is set.
type varints struct {
	b   []byte
	bad bool
}

func (r *varints) next() uint64 {
	v, k := binary.Uvarint(r.b)
	if k <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[k:]
	return v
}

func (r *varints) signed() int64 {
	v, k := binary.Varint(r.b)
	if k <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[k:]
	return v
}

func (r *varints) take(n uint64) []byte {
	if uint64(len(r.b)) < n {
		r.bad, r.b = true, nil
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func parseSummary(b []byte) (summary, error) {
	r := &varints{b: b}
	head := r.take(3)
	if r.bad || head[0] != summaryVersion {
		return summary{}, fmt.Errorf("read entry: got summary % x, want version %d: %w", b[:min(len(b), 3)], summaryVersion, record.ErrCorrupt)
	}
	s := summary{own: head[1]&flagOwn != 0, hollow: head[1]&flagHollow != 0, reason: record.Reason(head[2])}
	if !s.own {
		copy(s.stream.Sender[:], r.take(uint64(len(s.stream.Sender))))
		s.stream.Epoch = r.next()
		s.chain = record.Chain(r.next())
	}
	s.first = r.next()
	s.last = s.first + r.next()
	s.newest = r.signed()
	s.bytes, s.records, s.held = r.next(), r.next(), r.next()
	s.rule = string(r.take(r.next()))
	n := r.next()
	if n > uint64(len(r.b)/3) {
		return summary{}, fmt.Errorf("read entry: got %d extents in %d bytes: %w", n, len(r.b), record.ErrCorrupt)
	}
	if n > 0 {
		s.extents = make([]record.Extent, n)
	}
	for i := range s.extents {
		s.extents[i] = record.Extent{Spool: r.next(), Off: int64(r.next()), Len: uint32(r.next())}
	}
	if head[1]&flagRuled != 0 {
		s.ruled(r)
	}
	if head[1]&flagBefore != 0 {
		s.before.seq = r.next()
		if p := r.take(8); p != nil {
			s.before.chain = record.Chain(binary.LittleEndian.Uint64(p))
		}
		r.bad = r.bad || s.before.seq == 0
	}
	if r.bad {
		return summary{}, fmt.Errorf("read entry: summary ends early: %w", record.ErrCorrupt)
	}
	return s, nil
}

// ruled reads what rules made of the entry.
func (s *summary) ruled(r *varints) {
	s.cut.Bytes, s.cut.Records = r.next(), r.next()
	n := r.next()
	if n > uint64(len(r.b)) {
		r.bad = true
		return
	}
	s.targets = make([]string, 0, n)
	for range n {
		s.targets = append(s.targets, string(r.take(r.next())))
	}
	if n == 0 {
		s.targets = nil
	}
}

// Keys of a database of the chain: positions are 8 bytes, big endian, from 1; what belongs to position 0 is the head.
func posKey(pos uint64) []byte { return binary.BigEndian.AppendUint64(nil, pos) }

func keyPos(k []byte) (uint64, bool) {
	if len(k) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(k), true
}

// decodeChunks decodes a wire entry, keeping none of its bytes: they belong to the database.
func decodeChunks(rest []byte) ([]record.Chunk, error) {
	chunks, err := wire.DecodeEntry(bytes.Clone(rest))
	if err == nil && len(chunks) == 0 {
		err = fmt.Errorf("read entry: got no chunks: %w", record.ErrCorrupt)
	}
	return chunks, err
}
