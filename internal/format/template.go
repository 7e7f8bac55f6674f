package format

import (
	"bytes"
	"strconv"

	"ftfuse/internal/fields"
	"ftfuse/internal/record"
)

// template renders records by a text with %-letters, as K2HFTFUSE's FORMAT does, and named fields in braces.
type template struct {
	parts []part
	clock *Clock // of %T; nil: it prints nothing
	named *Clock // of {time}
	moves bool   // what a chunk's records share differs from chunk to chunk

	who   who
	fixed []byte // what all records of the chunk share
	vary  []vary // what differs among them
}

// part is a literal text or a field.
type part struct {
	field  field
	text   []byte // of a literal
	source string // else: as it was written
	name   string // of a field of the record
}

// vary is a part that differs from record to record.
type vary struct {
	*part
	end int // template.fixed up to here stands before it, and behind the one before
}

func newTemplate(o Options) (*template, error) {
	t := &template{named: newClock(o.Location, "%FT%T.", "%:z")}
	if form := unquote(o.TimeFormat); form != "" {
		var err error
		if t.clock, err = ParseClock(form, o.Location, true); err != nil {
			return nil, err
		}
		t.named = t.clock
	}
	var err error
	if t.parts, err = parse(o.Template, o.Lenient); err != nil {
		return nil, err
	}
	for i := range t.parts {
		switch p := &t.parts[i]; {
		case p.field.varies():
			t.vary = append(t.vary, vary{part: p})
		case p.field == fieldSeq:
			t.moves = true
		}
	}
	return t, nil
}

// copies reports whether what comes out are the bytes that went in.
func (t *template) copies() bool { return len(t.parts) == 1 && t.parts[0].field == fieldLine }

func (t *template) Gaps() bool { return false }

func (t *template) Overhead(c *record.Chunk) int {
	t.prepare(c)
	return len(t.record(nil, c, nil, c.Time))
}

func (t *template) Append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte {
	t.prepare(c)
	EachRecord(c, func(rec []byte, _ int, at int64) {
		dst = t.record(spill(dst), c, rec, at)
	})
	return dst
}

// prepare renders what the records of c share.
func (t *template) prepare(c *record.Chunk) {
	if t.who.same(c) && !t.moves {
		return
	}
	b, v := t.fixed[:0], t.vary
	for i := range t.parts {
		p := &t.parts[i]
		if !p.field.varies() {
			b = p.shared(b, c)
			continue
		}
		v[0].end, v = len(b), v[1:]
	}
	t.fixed = b
}

func (t *template) record(dst []byte, c *record.Chunk, rec []byte, at int64) []byte {
	done := 0
	for i := range t.vary {
		v := &t.vary[i]
		dst, done = append(dst, t.fixed[done:v.end]...), v.end
		switch v.field {
		case fieldLine:
			dst = append(dst, rec...)
		case fieldTrimmed:
			dst = append(dst, bytes.Trim(rec, " \t\n\v\f\r")...)
		case fieldData:
			dst = append(dst, cutAny(c, rec)...)
		case fieldClockTime:
			if t.clock != nil {
				dst = t.clock.Append(dst, at)
			}
		case fieldNamedTime:
			dst = t.named.Append(dst, at)
		case fieldOfRecord:
			value, _ := fields.Find(cutAny(c, rec), v.name)
			dst = append(dst, value...)
		}
	}
	return append(dst, t.fixed[done:]...)
}

// field is what a part of a template stands for.
type field uint8

// The fields. Those up to fieldOfRecord differ from record to record, the others from chunk to chunk.
const (
	fieldLine      field = iota // the record with its line end
	fieldData                   // the record without
	fieldTrimmed                // the record without white space at both ends
	fieldClockTime              // by the time format; without one nothing, as in the original
	fieldNamedTime              // by the time format; without one as in RFC 3339
	fieldOfRecord               // a field of the record
	literal
	fieldHost
	fieldPath
	fieldName
	fieldDir
	fieldMount
	fieldRule
	fieldSender
	fieldSeq
	fieldPid
	fieldTid
	fieldUid
	fieldGid
	fieldComm
	fieldExe
	fieldUnit
	fieldContainer
)

func (f field) varies() bool { return f <= fieldOfRecord }

// shared appends what p is for all records of c.
func (p *part) shared(dst []byte, c *record.Chunk) []byte {
	number := uint64(0)
	switch f, w := FileOf(c), WriterOf(c); p.field {
	case literal:
		return append(dst, p.text...)
	case fieldHost:
		return append(dst, c.Source.Host...)
	case fieldPath:
		return append(dst, f.Path...)
	case fieldName:
		return append(dst, LastName(f.Path)...)
	case fieldDir:
		return append(dst, f.Path[:max(0, len(f.Path)-len(LastName(f.Path))-1)]...)
	case fieldMount:
		return append(dst, f.Mount...)
	case fieldRule:
		return append(dst, f.Rule...)
	case fieldSender:
		return append(dst, c.Source.Captor().String()...)
	case fieldComm:
		return append(dst, w.Comm...)
	case fieldExe:
		return append(dst, w.Exe...)
	case fieldUnit:
		return append(dst, w.Unit...)
	case fieldContainer:
		return append(dst, w.Container...)
	case fieldSeq:
		number = c.Seq
	case fieldPid:
		number = uint64(w.PID)
	case fieldTid:
		number = uint64(w.TID)
	case fieldUid:
		number = uint64(w.UID)
	case fieldGid:
		number = uint64(w.GID)
	}
	return strconv.AppendUint(dst, number, 10)
}
