package top

import (
	"fmt"

	"ftfuse/internal/control"
)

func (m *Model) outputs(list []control.OutputStatus) *table {
	t := &table{none: "no output is configured", columns: []column{{head: "OUTPUT"}, {head: "OUT/s", right: true, least: 8}, {head: "WRITTEN", right: true}, {head: "FILES", right: true, spare: 1},
		{head: "GAPS", right: true}, {head: "BASE", spare: 2}}}
	for _, o := range list {
		gaps := Span{control.Number(o.Gaps), Dim}
		if o.Gaps > 0 {
			gaps.Look = Warn
		}
		base := Span{control.Plain(o.Base), Dim}
		if trouble := pluginTrouble(o); trouble != "" {
			base = Span{trouble, Warn}
		}
		t.rows = append(t.rows, []Span{{control.Plain(o.Name), Plain}, m.speed(m.rates.outputs[o.Name]), some(o.Written, Plain), {control.Number(uint64(o.Files)), Plain}, gaps, base})
	}
	return t
}

// fed are the outputs of a sender, each of which has its data from the queue.
func (m *Model) fed(list []control.OutputStatus) *table {
	t := &table{columns: []column{{head: "OUTPUT"}, {head: "TYPE", spare: 3}, {head: "STATE"}, {head: "PID", right: true, spare: 2}, {head: "LAG", right: true, least: 5},
		{head: "OUT/s", right: true, least: 8}, {head: "WRITTEN", right: true, spare: 1}, {head: "BASE", spare: 4}}}
	for _, o := range list {
		lag, pid := Span{control.Since(m.status.Now, o.Oldest), Plain}, Span{"-", Dim}
		if o.Oldest.IsZero() {
			lag.Look = Dim
		}
		if o.Plugin != nil && o.Plugin.PID != 0 {
			pid = Span{fmt.Sprint(o.Plugin.PID), Plain}
		}
		base := Span{control.Plain(o.Base), Dim}
		if o.Error != "" && o.State != "writing" && o.State != "waiting" {
			base = Span{control.Plain(o.Error), Warn}
		} else if trouble := pluginTrouble(o); trouble != "" {
			base = Span{trouble, Warn}
		}
		t.rows = append(t.rows, []Span{{control.Plain(o.Name), Plain}, {o.Type, Dim}, outputState(o.State), pid, lag, m.speed(m.rates.outputs[o.Name]),
			someBytes(o.Written, Plain), base})
	}
	return t
}

// pluginTrouble says what has happened to a plug-in, "" if nothing has.
func pluginTrouble(o control.OutputStatus) string {
	p := o.Plugin
	if p == nil || p.Restarts == 0 {
		return ""
	}
	text := fmt.Sprintf("ended %d times: %s", p.Restarts, control.Plain(p.LastExit))
	if o.Uncertain > 0 {
		text += ", " + control.Bytes(o.Uncertain) + " uncertain"
	}
	return text
}

// outputState shows the state of an output with its look.
func outputState(s string) Span {
	switch s {
	case "waiting", "writing", "running":
		return Span{s, Good}
	case "opening", "starting", "stopped":
		return Span{s, Warn}
	}
	return Span{control.Plain(s), Bad}
}
