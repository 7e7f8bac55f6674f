package control

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// writtenTable shows the outputs of a receiver.
func writtenTable(outputs []OutputStatus, now time.Time) *table {
	t := &table{head: []string{"OUTPUT", ">WRITTEN", ">TO FILES", ">OPEN", ">GAPS", "BASE"}}
	for _, o := range outputs {
		files, open := cell{humanBytes(o.FileBytes), noColour}, cell{fmt.Sprint(o.Files), noColour}
		if o.Plugin != nil {
			files, open = cell{"-", dim}, cell{"-", dim}
		}
		t.add(cell{o.Name, noColour}, count(o.Written), files, open, gaps(o), cell{plain(o.Base), noColour})
		if o.Plugin != nil {
			waits := ""
			if !o.Oldest.IsZero() {
				waits = ", oldest waiting " + since(now, o.Oldest)
			}
			t.note(outputState(o.State).colour, "plug-in "+plain(o.State)+waits)
		}
		outputNotes(t, o, now)
	}
	return t
}

// fedTable shows the outputs of a sender, each of which has its data from the queue.
func fedTable(outputs []OutputStatus, now time.Time) *table {
	t := &table{head: []string{"OUTPUT", "TYPE", "STATE", ">OLDEST", ">WRITTEN", ">GAPS", "BASE"}}
	for _, o := range outputs {
		t.add(cell{o.Name, noColour}, cell{o.Type, noColour}, outputState(o.State), cell{since(now, o.Oldest), noColour},
			count(o.Written), gaps(o), cell{plain(o.Base), noColour})
		outputNotes(t, o, now)
	}
	return t
}

func gaps(o OutputStatus) cell {
	if o.Gaps > 0 {
		return cell{humanCount(o.Gaps), red}
	}
	return cell{humanCount(o.Gaps), noColour}
}

func outputNotes(t *table, o OutputStatus, now time.Time) {
	for _, why := range slices.Sorted(maps.Keys(o.Missing)) {
		t.note(red, fmt.Sprintf("never coming, %s: %s", plain(why), inWords(o.Missing[why])))
	}
	if o.Unowned > 0 {
		t.note(yellow, "somebody else wrote "+humanBytes(o.Unowned)+" into these files")
	}
	if o.Plugin != nil {
		pluginNotes(t, o, now)
	} else if o.Uncertain > 0 {
		t.note(yellow, humanBytes(o.Uncertain)+" may be there twice")
	}
	lastError(t, o.Error, o.ErrorAt, now)
}

func pluginNotes(t *table, o OutputStatus, now time.Time) {
	p := o.Plugin
	running := "no process"
	if p.PID != 0 {
		running = fmt.Sprint("pid ", p.PID)
	}
	parts := []string{running}
	if p.InFlight > 0 {
		parts = append(parts, fmt.Sprintf("%s given and not finished, oldest %s", humanBytes(p.InFlight), humanFor(p.Lag)))
	}
	if n := p.StdoutLines + p.StderrLines; n > 0 {
		parts = append(parts, humanCount(n)+" lines said")
	}
	t.note(dim, strings.Join(parts, ", "))
	if p.Restarts > 0 {
		t.note(yellow, fmt.Sprintf("ended %s by itself, last %s ago: %s", times(p.Restarts), since(now, p.ExitedAt), oneLine(p.LastExit)))
	}
	if o.Uncertain > 0 {
		t.note(yellow, humanBytes(o.Uncertain)+" may be lost: it had read them when it ended")
	}
	if p.LinesLost > 0 {
		t.note(yellow, humanCount(p.LinesLost)+" lines that it said were not taken, and are lost")
	}
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return humanCount(n) + " times"
}

// outputState colours the state of an output that is fed from the queue.
func outputState(s string) cell {
	switch s {
	case "waiting", "writing", "running":
		return cell{s, green}
	case "opening", "starting", "stopped":
		return cell{s, yellow}
	}
	return cell{plain(s), red}
}
