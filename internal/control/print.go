package control

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Print writes s for people.
func (s *Status) Print(w io.Writer, style Style) error {
	p := &printer{Style: style}
	p.line(cell{s.Role + " " + plain(s.Host), bold},
		cell{fmt.Sprintf("  up %s  pid %d  ftfuse %s", since(s.Now, s.Since), s.PID, plain(s.Version)), dim})
	for _, c := range s.Certificates {
		p.certificate(c, s.Now)
	}
	for _, t := range s.Trouble {
		p.line(cell{"! " + plain(t), red})
	}
	for _, r := range s.Unhealthy {
		p.line(cell{"! " + plain(r.Text), red})
	}
	if s.Sender != nil {
		p.sender(s.Sender, s.Now)
	}
	if s.Receiver != nil {
		p.receiver(s.Receiver, s.Delivery(), s.Now)
	}
	return p.flush(w)
}

// Print writes r for people.
func (r *QueueReport) Print(w io.Writer, style Style) error {
	p := &printer{Style: style}
	p.queue(r.Queue, r.Now)
	p.line()
	unbalanced := unbalancedBug
	if r.Damaged {
		unbalanced = "what is missing is not counted yet: `ftfuse queue repair` or the next start does it"
	}
	p.flows(r.Flows, unbalanced)
	return p.flush(w)
}

func (p *printer) sender(s *SenderStatus, now time.Time) {
	p.line()
	p.mounts(s)
	p.line()
	p.flows(s.Flows, unbalancedBug)
	p.line()
	p.queue(s.Queue, now)
	if len(s.Peers) > 0 || len(s.Outputs) == 0 {
		p.line()
		p.table(targetTable(s.Targets, s.Peers, now))
	}
	if len(s.Outputs) > 0 {
		p.line()
		p.table(fedTable(s.Outputs, now))
	}
}

func (p *printer) mounts(s *SenderStatus) {
	t := &table{head: []string{"MOUNT", "STATE", "PATH"}}
	for _, m := range s.Mounts {
		t.add(cell{m.Name, noColour}, state(m.State), cell{plain(m.Path), noColour})
		if text := opens(m.Opens); text != "" {
			t.note(dim, "opens: "+text)
		}
	}
	if len(s.Mounts) == 0 {
		t.note(dim, "no mount is configured")
	} else {
		t.note(dim, fmt.Sprintf("in all: %s, %s unseen in them", plural(s.Spools, "spool"), humanBytes(s.Unseen)))
	}
	p.table(t)
}

// plural is n things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprint(n, " ", thing, "s")
}

// opens lists counters by mode, the reasons in brackets.
func opens(list []OpenCount) string {
	byMode, order := map[string][]string{}, []string{}
	for _, o := range list {
		if o.Count == 0 {
			continue
		}
		if byMode[o.Mode] == nil {
			order = append(order, o.Mode)
		}
		text := humanCount(o.Count)
		if o.Reason != "" {
			text = plain(o.Reason) + " " + text
		}
		byMode[o.Mode] = append(byMode[o.Mode], text)
	}
	parts := make([]string, 0, len(order))
	for _, mode := range order {
		parts = append(parts, mode+" ("+strings.Join(byMode[mode], ", ")+")")
	}
	return strings.Join(parts, ", ")
}

func inWords(c Count) string {
	if c.Records == 1 {
		return humanBytes(c.Bytes) + ", 1 record"
	}
	return humanBytes(c.Bytes) + ", " + humanCount(c.Records) + " records"
}

func (p *printer) queue(q QueueStatus, now time.Time) {
	share, held := 0.0, humanBytes(q.Bytes)
	if q.MaxSize > 0 {
		share = 100 * float64(q.Bytes) / float64(q.MaxSize)
		held += fmt.Sprintf(" of %s (%.0f %%)", humanBytes(q.MaxSize), share)
	}
	oldest := ""
	if !q.Oldest.IsZero() {
		oldest = ", oldest " + since(now, q.Oldest)
	} else if q.Bytes == 0 {
		oldest = ", empty"
	}
	c := noColour
	if share >= 80 {
		c = yellow
	}
	p.line(cell{"QUEUE  ", bold}, state(q.State),
		cell{"  " + held, c},
		cell{fmt.Sprintf("%s, epoch %d", oldest, q.Epoch), noColour})
	p.line(cell{fmt.Sprintf("  disk: %s free, %s of it left to others", humanBytes(q.DiskFree), humanBytes(q.MinFree)), dim})
}

func (p *printer) receiver(s *ReceiverStatus, d Delivery, now time.Time) {
	p.line(cell{fmt.Sprintf("listening on %s, holding %s of %s", strings.Join(s.Listen, ", "),
		humanBytes(s.Memory), humanBytes(s.Limit)), dim})
	var refused []string
	for _, why := range slices.Sorted(maps.Keys(s.Refused)) {
		if s.Refused[why] > 0 {
			refused = append(refused, plain(why)+" "+humanCount(s.Refused[why]))
		}
	}
	if len(refused) > 0 {
		p.line(cell{"refused: " + strings.Join(refused, ", "), yellow})
	}
	p.line()
	t := &table{head: []string{"SENDER", "STATE", ">FOR", ">RATE", ">RECEIVED", "ADDRESS"}}
	for _, r := range s.Peers {
		t.add(cell{plain(r.Host), noColour}, state(r.State), cell{since(now, r.Since), noColour},
			cell{humanBytes(uint64(r.ByteRate)) + "/s", noColour}, count(r.Received), whereabouts(r.Address, r.TLS, r.Identity))
		if r.Paused != "" {
			t.note(yellow, oneLine(r.Paused))
		}
		if r.Duplicates != (Count{}) {
			t.note(dim, "sent again after a broken connection, not written again: "+inWords(r.Duplicates))
		}
		if r.Error != "" {
			t.note(red, "not written yet, tried again: "+oneLine(r.Error))
		}
	}
	if len(s.Peers) == 0 {
		t.note(dim, "no sender is connected")
	}
	p.table(t)
	if s.Relay() {
		p.line()
		p.flows(d.Flows, unbalancedBug)
		p.line()
		p.queue(*d.Queue, now)
		p.line()
		p.table(targetTable(d.Targets, d.Peers, now))
	}
	if len(s.Outputs) > 0 || !s.Relay() {
		p.line()
		p.table(writtenTable(s.Outputs, now))
	}
}

func lastError(t *table, text string, at, now time.Time) {
	if text != "" {
		t.note(yellow, fmt.Sprintf("last error, %s ago: %s", since(now, at), oneLine(text)))
	}
}

// oneLine makes a text safe for a terminal and puts its lines beside each other.
func oneLine(s string) string { return plain(strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ")) }

// state colours a state by its first word.
func state(s string) cell {
	word, _, _ := strings.Cut(s, " ")
	switch word {
	case "connected", "serving", "ok", "active", "ready":
		return cell{plain(s), green}
	case "connecting", "waiting", "idle", "gone", "closed", "starting", "stopped", "standby", "returning", "leaving", "removed":
		return cell{plain(s), yellow}
	}
	return cell{plain(s), red}
}
