package top

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ftfuse/internal/control"
)

// View returns the lines of a screen that has so many columns and lines. It changes nothing but the offset, which is kept
// within the first table.
func View(m *Model, columns, lines int) []Line {
	if columns <= 0 || lines <= 0 {
		return nil
	}
	head := m.header(columns)
	if m.help {
		return m.page(head[:1], helpText(), columns, lines)
	}
	if m.status.Role == "" {
		return m.page(head, nil, columns, lines)
	}
	tables := m.tables(columns)
	var body []Line
	room := lines - len(head) - 1 - len(tables) // a blank line before each table, the foot after all
	if room < 2*len(tables) {
		room = lines - len(head) - 1
	}
	for i, n := range share(tables, room) {
		first := 0
		if i == 0 {
			m.offset = min(m.offset, max(0, len(tables[0].rows)-max(1, n-2)))
			first = m.offset
		}
		if block := m.lines(tables[i], first, n, columns); len(block) > 0 {
			if room == lines-len(head)-1-len(tables) {
				body = append(body, nil)
			}
			body = append(body, block...)
		}
	}
	return m.page(head, body, columns, lines)
}

// page puts a screen together.
func (m *Model) page(head, body []Line, columns, lines int) []Line {
	out := append(slices.Clone(head), body...)
	if lines < 2 {
		return out[:min(len(out), lines)]
	}
	out = out[:min(len(out), lines-1)]
	for len(out) < lines-1 {
		out = append(out, nil)
	}
	return append(out, m.cutLine(m.foot(), columns))
}

func (m *Model) foot() Line {
	if m.help {
		return Line{{"any key goes back", Dim}}
	}
	l := Line{{"q", Bold}, {" quit  ", Dim}, {"p", Bold}, {" pause  ", Dim}, {"s", Bold}, {" sort: " + m.orderName() + "  ", Dim}}
	if m.Switch {
		l = append(l, Span{"Tab", Bold}, Span{" other role  ", Dim})
	}
	return append(l, Span{"?", Bold}, Span{" help", Dim})
}

func helpText() []Line {
	text := `
  q, Ctrl-C       quit
  p, space        pause: the screen stays as it is
  s               sort the first table by something else
  up, down, j, k  scroll the first table; PgUp, PgDn, Home
  Tab             sender or receiver, where both run here
  Ctrl-Z          suspend

Rates are those since the last look. "in" is what was captured or received,
"out" what all targets have acknowledged or all outputs have written; whoever
has two targets sends everything twice. Numbers of bytes are those of what
programs wrote. LAG is the age of the oldest data that waits for a target or
an output.`
	var out []Line
	for line := range strings.Lines(text) {
		out = append(out, Line{{strings.TrimRight(line, "\n"), Plain}})
	}
	return out
}

// header are the lines above the tables.
func (m *Model) header(columns int) []Line {
	s := &m.status
	title := Line{{"ftfuse top", Bold}}
	if s.Role != "" {
		title = append(title, Span{"  " + s.Role + " " + control.Plain(s.Host), Bold},
			Span{fmt.Sprintf("  %s  pid %d  up %s", control.Plain(s.Version), s.PID, control.Since(s.Now, s.Since)), Dim})
	}
	clock := m.now.Format("15:04:05")
	if m.paused {
		clock = "PAUSED " + clock
	}
	title = m.cutLine(title, max(0, columns-len(clock)-2))
	used := 0
	for _, x := range title {
		used += width(x.Text)
	}
	title = append(title, Span{strings.Repeat(" ", max(0, columns-used-len(clock))), Plain}, Span{clock, Plain})
	out := []Line{title}
	for _, l := range append(m.condition(), m.totals(columns)...) {
		out = append(out, m.cutLine(l, columns))
	}
	out[0] = m.cutLine(out[0], columns)
	return out
}

const mostTroubles = 3

// condition says whether all is well.
func (m *Model) condition() []Line {
	s := &m.status
	if m.away != nil {
		text := "! " + control.Plain(m.away.Error())
		if s.Role != "" {
			text += fmt.Sprintf("; what follows is %s old", control.Span(m.now.Sub(m.lastNow).Truncate(time.Second)))
		}
		return []Line{{{text, Bad}}}
	}
	if s.Role == "" {
		return []Line{{{"asking", Dim}}}
	}
	var bad []string
	for _, r := range s.Unhealthy {
		bad = append(bad, r.Text)
	}
	bad = append(bad, s.Trouble...)
	if len(bad) == 0 {
		return []Line{{{"ok", Good}, {"  " + m.census(), Dim}}}
	}
	var out []Line
	for i, text := range bad {
		if i == mostTroubles-1 && len(bad) > mostTroubles {
			out = append(out, Line{{fmt.Sprintf("! and %d more: see `ftfuse status`", len(bad)-i), Bad}})
			break
		}
		out = append(out, Line{{"! " + control.Plain(text), Bad}})
	}
	return out
}

// census counts what there is.
func (m *Model) census() string {
	if r := m.status.Receiver; r != nil {
		parts := []string{plural(len(r.Peers), "sender")}
		if r.Relay() {
			parts = append(parts, reached(r.Receivers))
		}
		if len(r.Outputs) > 0 || !r.Relay() {
			parts = append(parts, plural(len(r.Outputs), "output"))
		}
		return strings.Join(append(parts, "listening on "+strings.Join(r.Listen, ", ")), ", ")
	}
	s := m.status.Sender
	text := plural(len(s.Mounts), "mount") + " served"
	if len(s.Peers) > 0 || len(s.Outputs) == 0 {
		text += ", " + reached(s.Peers)
	}
	if len(s.Outputs) > 0 {
		text += ", " + plural(len(s.Outputs), "output")
	}
	return text
}

// reached counts those receivers that are connected.
func reached(peers []control.PeerStatus) string {
	connected := 0
	for _, p := range peers {
		if p.Connected() {
			connected++
		}
	}
	return fmt.Sprintf("%d of %s connected", connected, plural(len(peers), "receiver"))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprint(n, " ", what, "s")
}
