package node

import (
	"strings"
	"time"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/output"
	"ftfuse/internal/queue"
)

// oldest returns when the oldest data that waits at a cursor was captured.
func oldest(q queue.Stats, cursor string) time.Time {
	for _, c := range q.Cursors {
		if c.Name == cursor {
			return c.Oldest
		}
	}
	return time.Time{}
}

// outputStatus tells how an output of a sender does.
func (s *sender) outputStatus(c config.Output, q queue.Stats) control.OutputStatus {
	var st control.OutputStatus
	switch d := s.destinations.get(c.Name).(type) {
	case *fed:
		st = d.status()
	case *local:
		x, drained, err := d.stats()
		st = written(c, x)
		st.LastAck = drained.LastAck
		if st.State = drained.State; err != nil {
			st.Error, st.ErrorAt = err.Error(), d.failedAt()
		} else if drained.Error != "" {
			st.Error, st.ErrorAt = drained.Error, drained.Since
		}
	default: // between its end and its new beginning
		st = control.OutputStatus{Name: c.Name, Type: c.Type, State: "stopped"}
	}
	st.Oldest = oldest(q, c.Name)
	return st
}

// outputStatus tells how the outputs of a receiver do.
func (r *receiver) outputStatus() (all []control.OutputStatus) {
	open := map[string]sink{}
	for _, o := range r.outputs.all() {
		open[o.name] = o.sink
	}
	var q queue.Stats
	if in := r.intake.Load(); in != nil {
		q = in.Queue.Stats()
	}
	for _, c := range r.ruling.Load().cfg.Outputs {
		if d, ok := r.fed.get(c.Name).(*fed); ok {
			st := d.status()
			st.Oldest = oldest(q, c.Name)
			all = append(all, st)
		} else if o := open[c.Name]; o != nil {
			all = append(all, written(c, o.Stats()))
		}
	}
	return all
}

// written tells what an output to files or the journal has done.
func written(c config.Output, x output.Stats) control.OutputStatus {
	if c.Type == "journal" {
		c.Base = "the journal"
	}
	if c.Below != "" {
		c.Base = "below mount " + c.Below + ": " + c.Base
	}
	gaps, missing := uint64(0), control.Drops{}
	for why, m := range x.Missing {
		gaps += uint64(m.Gaps)
		missing[why] = control.Count{Bytes: uint64(m.Bytes), Records: uint64(m.Records)}
	}
	return control.OutputStatus{Name: c.Name, Type: c.Type, Base: c.Base,
		Files: int(x.OpenFiles), Written: control.Count{Bytes: uint64(x.Bytes), Records: uint64(x.Records)}, FileBytes: uint64(x.Written),
		Duplicates: uint64(x.Duplicates), Gaps: gaps, Missing: missing, Unowned: uint64(x.Unowned), Uncertain: uint64(x.Uncertain),
		Misplaced: uint64(x.Misplaced), Rotated: uint64(x.Rotated), Error: x.LastError, ErrorAt: x.LastErrorTime}
}

// status tells how a plug-in does.
func (f *fed) status() control.OutputStatus {
	x := f.p.Stats()
	return control.OutputStatus{Name: f.cfg.Name, Type: f.cfg.Type, State: x.State.String(), Base: strings.Join(f.cfg.Plugin.Command, " "),
		Written: control.Count{Bytes: x.Bytes, Records: x.Records}, Gaps: x.Gaps, Uncertain: x.Uncertain, LastAck: f.taken.at(), Error: x.LastError, ErrorAt: x.LastErrorTime,
		Plugin: &control.PluginStatus{PID: x.PID, Starts: x.Starts, Restarts: x.Restarts, LastExit: x.LastExit, ExitedAt: x.ExitedAt, Again: x.Again,
			InFlight: uint64(max(x.InFlight, 0)), Lag: x.Lag, StdoutLines: x.StdoutLines, StderrLines: x.StderrLines, LinesLost: x.Dropped}}
}
