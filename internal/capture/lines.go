package capture

import (
	"bytes"

	"ftfuse/internal/record"
)

// framing says where records end. It is kept with the handle, so that a spool is cut the same way after a crash. The
// zero value, which spools of earlier versions have, is: LF ends a record, long ones are split, none waits.
type framing struct {
	LineEnd record.LineEnd    `json:"line_end,omitempty"`
	Join    record.Join       `json:"join,omitzero"`
	TooLong record.LongRecord `json:"too_long,omitempty"`
	Gather  record.Gather     `json:"gather,omitzero"`
}

func framingOf(d record.Decision) framing {
	return framing{LineEnd: d.LineEnd, Join: d.Join, TooLong: d.TooLong, Gather: d.Gather}
}

// scanStep is how much is looked through at a time for several bytes: one that is rare must not have all of what
// follows searched for each of the others.
const scanStep = 256

// findEnd returns how many bytes of data are before the first line end, and how long that is. Without one, end is 0,
// and n is all of data, less a CR at its end that may be half of a CR LF.
func findEnd(e record.LineEnd, data []byte) (n, end int) {
	switch e {
	case record.CR:
		n = bytes.IndexByte(data, '\r')
	case record.NUL:
		n = bytes.IndexByte(data, 0)
	case record.CRLF:
		return findCRLF(data)
	case record.Any:
		return findAny(data)
	default:
		n = bytes.IndexByte(data, '\n')
	}
	if n < 0 {
		return len(data), 0
	}
	return n, 1
}

func findCRLF(data []byte) (n, end int) {
	if n = bytes.Index(data, []byte("\r\n")); n >= 0 {
		return n, 2
	}
	if n = len(data); n > 0 && data[n-1] == '\r' {
		n--
	}
	return n, 0
}

func findAny(data []byte) (n, end int) {
	for from := 0; from < len(data); from += scanStep {
		part := data[from:min(from+scanStep, len(data))]
		for _, b := range []byte("\n\r\x00") {
			if i := bytes.IndexByte(part, b); i >= 0 {
				part = part[:i]
			}
		}
		n = from + len(part)
		switch {
		case n == min(from+scanStep, len(data)):
			continue
		case data[n] != '\r':
			return n, 1
		case n+1 == len(data):
			return n, 0
		case data[n+1] == '\n':
			return n, 2
		}
		return n, 1
	}
	return len(data), 0
}

// recordsIn returns how many records end in one write that never becomes a chunk; a line without an end counts where it
// ends. Of joined records the lines are counted.
func (m *meta) recordsIn(p []byte) (count uint64) {
	if m.File.Unit != record.Line {
		return 1
	}
	if m.LineEnd == record.LF {
		return uint64(bytes.Count(p, []byte{'\n'}))
	}
	for {
		n, end := findEnd(m.LineEnd, p)
		if end == 0 {
			if n < len(p) && m.LineEnd == record.Any {
				count++
			}
			return count
		}
		count, p = count+1, p[n+end:]
	}
}
