package top

import (
	"fmt"
	"slices"
	"strings"

	"ftfuse/internal/control"
)

// totals are the lines of the whole process.
func (m *Model) totals(columns int) []Line {
	s := &m.status
	if s.Role == "" {
		return nil
	}
	out := []Line{
		m.flowLine("in ", m.rates.in, func(p point) float64 { return p.in }, columns),
		m.flowLine("out", m.rates.out, func(p point) float64 { return p.out }, columns),
	}
	r := s.Receiver
	if r == nil || r.Relay() {
		out = append(out, m.queueLines()...)
	}
	if r == nil {
		return out
	}
	text := fmt.Sprintf("holds %s of %s, ledger %s", control.Bytes(r.Memory), control.Bytes(r.Limit), control.Bytes(r.Ledger.Disk))
	if d := r.Totals.Duplicates; d.Records > 0 {
		text += ", sent again " + words(d)
	}
	out = append(out, Line{{text, Plain}})
	refused := uint64(0)
	for _, n := range r.Refused {
		refused += n
	}
	if refused > 0 || r.Totals.Failures > 0 {
		out = append(out, Line{{fmt.Sprintf("refused %s connections, failed to write %s times", control.Number(refused), control.Number(r.Totals.Failures)), Warn}})
	}
	return out
}

func (m *Model) queueLines() []Line {
	d := m.status.Delivery()
	if d.Queue == nil {
		return nil
	}
	q := *d.Queue
	look, share := Plain, 0.0
	if q.MaxSize > 0 {
		share = 100 * float64(q.Bytes) / float64(q.MaxSize)
	}
	if share >= 80 {
		look = Warn
	}
	oldest := ""
	if !q.Oldest.IsZero() {
		oldest = ", oldest " + control.Since(m.status.Now, q.Oldest)
	}
	disk := "  disk " + control.Bytes(q.DiskFree) + " free"
	if s := m.status.Sender; s != nil {
		disk += "  " + plural(s.Spools, "spool")
	}
	state := Good
	if q.State != "ok" {
		state = Bad
	}
	out := []Line{{{"queue ", Bold}, {control.Plain(q.State), state},
		{fmt.Sprintf("  %s of %s (%.0f %%)%s", control.Bytes(q.Bytes), control.Bytes(q.MaxSize), share, oldest), look},
		{disk, Dim}}}
	var dropped control.Count
	for _, f := range d.Flows {
		dropped = dropped.Plus(f.Dropped.Total())
	}
	if dropped != (control.Count{}) {
		look, text := Warn, "dropped "+words(dropped)
		if m.away == nil && (m.rates.dropped.bytes > 0 || m.rates.dropped.records > 0) {
			look, text = Bad, text+"; now "+perSecond(m.rates.dropped.bytes)
		}
		out = append(out, Line{{text, look}})
	}
	return out
}

// flowLine is a rate with its last minute.
func (m *Model) flowLine(name string, r rate, of func(point) float64, columns int) Line {
	if !m.rates.known || m.away != nil {
		return Line{{name, Bold}, {fmt.Sprintf("%14s%14s", "-", "-"), Dim}}
	}
	l := Line{{name, Bold}, {fmt.Sprintf("%14s%14s", perSecond(r.bytes), control.Number(uint64(r.records))+" rec/s"), Plain}}
	room := columns - len(name) - 28 - 2 - len("  max 1023 KiB/s")
	if room < 5 {
		return l
	}
	values, most := m.means(of, room)
	return append(l, Span{"  " + m.spark(values, most), Good}, Span{"  max " + perSecond(most), Dim})
}

// means turns the curve into at most room values that stand for the same number of looks each; only the newest may stand
// for fewer. Counting from the first look keeps them from changing while they move.
func (m *Model) means(of func(point) float64, room int) (values []float64, most float64) {
	each := (m.points() + room - 1) / room
	for i := len(m.curve) - 1; i >= 0; {
		sum, n := 0.0, 0
		for cell := (m.first + i) / each; i >= 0 && (m.first+i)/each == cell; i-- {
			sum += of(m.curve[i])
			n++
		}
		values = append(values, sum/float64(n))
		most = max(most, sum/float64(n))
	}
	values = values[:min(len(values), room)]
	slices.Reverse(values)
	return values, most
}

// spark is a small curve.
func (m *Model) spark(values []float64, most float64) string {
	ramp := []rune(" ▁▂▃▄▅▆▇█")
	if m.ASCII {
		ramp = []rune(" .,:-=+*#")
	}
	var b strings.Builder
	for _, v := range values {
		i := 0
		if v > 0 {
			i = 1 + int(v/most*float64(len(ramp)-2)+0.5)
		}
		b.WriteRune(ramp[min(i, len(ramp)-1)])
	}
	return b.String()
}

func perSecond(n float64) string { return control.Bytes(uint64(n)) + "/s" }

func words(c control.Count) string {
	return control.Bytes(c.Bytes) + ", " + control.Number(c.Records) + " records"
}

func count(c control.Count) string {
	if c == (control.Count{}) {
		return "0"
	}
	return control.Bytes(c.Bytes) + " " + control.Number(c.Records)
}
