package node

import (
	"fmt"
	"slices"

	"ftfuse/internal/capture"
	"ftfuse/internal/config"
	"ftfuse/internal/filter"
	"ftfuse/internal/format"
	"ftfuse/internal/record"
	"ftfuse/internal/refine"
)

// TestResult is what an example of a configuration (an element of its tests) gave.
type TestResult struct {
	Name     string
	OK       bool
	Rule     string // that decided, "default" if none matches
	Why      string // it did
	WantRule string // "": any
	Stored   bool   // the rule sends nothing
	Targets  []TestTarget
	Records  []TestRecord // what went in, as it was taken apart
}

// TestTarget is a target or output that was to get something, or got it.
type TestTarget struct{ Name, Want, Got string }

// OK reports whether it got what it was to get.
func (t TestTarget) OK() bool { return t.Want == t.Got }

// TestRecord is what became of one record, by its rule.
type TestRecord struct {
	Text    string
	Became  string   // what filters made of it
	Targets []string // nil: it goes nowhere
	By      string   // what decided, as in filters[2] or otherwise
	Action  string   // what it decided: allow, deny, or a word for what else happened
	// Of a record that is too long: a piece that has others before or behind it.
	Continues, Continued bool
}

// RunSenderTests runs the examples whose names are wanted, by what assembles records, chooses rules and applies filters in
// a running sender. It touches no disk. Limits and samples take nothing out, and nothing is put into an output's format or given
// to a program.
func RunSenderTests(cfg *config.Sender, wanted func(name string) bool) ([]TestResult, error) {
	plain := *cfg
	plain.Rules = slices.Clone(cfg.Rules)
	for i := range plain.Rules {
		plain.Rules[i].Limits, plain.Rules[i].Sample = nil, 1
	}
	r, err := newRuling(&plain, nil)
	if err != nil {
		return nil, err
	}
	return runTests(cfg.Tests, wanted, r.example)
}

// RunReceiverTests is RunSenderTests for a receiver. Records are lines there: how a sender takes them apart is not its own affair.
func RunReceiverTests(cfg *config.Receiver, wanted func(name string) bool) ([]TestResult, error) {
	plain := *cfg
	plain.Rules = slices.Clone(cfg.Rules)
	for i := range plain.Rules {
		plain.Rules[i].Sample = 1
	}
	x, err := newReceived(&plain)
	if err != nil {
		return nil, err
	}
	r := &receiver{}
	r.ruling.Store(x)
	return runTests(cfg.Tests, wanted, r.example)
}

func runTests(tests []config.Test, wanted func(string) bool, run func(config.Test) (*example, error)) ([]TestResult, error) {
	var all []TestResult
	for _, t := range tests {
		if !wanted(t.Name) {
			continue
		}
		e, err := run(t)
		if err != nil {
			return nil, fmt.Errorf("test %s: %w", t.Name, err)
		}
		all = append(all, e.result(t))
	}
	return all, nil
}

// example is one that has been run.
type example struct {
	TestResult
	names []string          // of targets and outputs
	got   map[string][]byte // by them
}

// example runs t as a sender.
func (r *ruling) example(t config.Test) (*example, error) {
	mount := t.Mount
	if mount == "" && len(r.cfg.Mounts) > 0 {
		mount = r.cfg.Mounts[0].Name
	}
	d := r.matcher.Decide(mount, t.Path)
	e := &example{names: destinationNames(r.cfg), got: map[string][]byte{}}
	e.Rule, e.Why, e.Stored = d.Rule, d.Why, !d.Send
	if !d.Send {
		return e, nil
	}
	chunks, err := capture.Assemble(d, &record.Source{Host: r.cfg.Host}, mount, t.Path, writer(t, d.Capture), []byte(t.In))
	if err != nil {
		return nil, err
	}
	filters := config.Rule{}
	if i := slices.IndexFunc(r.cfg.Rules, func(c config.Rule) bool { return c.Name == d.Rule }); i >= 0 {
		filters = r.cfg.Rules[i]
	}
	e.trace(chunks, r.byName[d.Rule], filters.Filters)
	for _, c := range refine.New(refine.Options{}, r.table).Refine(chunks) {
		to := c.Targets
		if to == nil {
			to = e.names
		}
		for _, name := range to {
			e.got[name] = append(e.got[name], c.Data...)
		}
	}
	return e, nil
}

// example runs t as a receiver.
func (r *receiver) example(t config.Test) (*example, error) {
	x := r.ruling.Load()
	m, err := x.matcher(t.Host)
	if err != nil {
		return nil, err
	}
	d := m.Decide(t.Mount, t.Path)
	e := &example{got: map[string][]byte{}}
	e.Rule, e.Why = d.Rule, d.Why
	lines := record.Decision{Rule: d.Rule, Unit: record.Line, MaxRecord: record.MaxChunk}
	chunks, err := capture.Assemble(lines, &record.Source{Host: t.Host}, t.Mount, t.Path, writer(t, record.OpenMode), []byte(t.In))
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(x.cfg.Rules, func(c config.ReceiverRule) bool { return d.Send && c.Name == d.Rule }); i >= 0 {
		e.trace(chunks, x.byName[d.Rule], x.cfg.Rules[i].Filters)
	}
	e.names = x.cfg.Destinations()
	for _, name := range e.names {
		view := r.view(name)
		for i := range chunks {
			if c := view(&chunks[i]); c != nil {
				e.got[name] = append(e.got[name], c.Data...)
			}
		}
	}
	return e, nil
}

// writer is who writes an example.
func writer(t config.Test, mode record.Mode) *record.Writer {
	w := &record.Writer{Kind: record.Opener, UID: uint32(t.UID), Comm: t.Command, Unit: t.Unit}
	if mode == record.WriteMode {
		w.Kind = record.Thread
	}
	return w
}

// trace says of each record what filters do to it. What is delivered is not taken from it.
func (e *example) trace(chunks []record.Chunk, rule *refine.Rule, filters []config.Filter) {
	var s filter.Scratch
	var first TestRecord // piece of the record that goes on: it decides about all of them
	var by int           // that decided about it
	for i := range chunks {
		c := &chunks[i]
		if c.Gap != nil {
			e.Records = append(e.Records, TestRecord{By: c.Gap.Reason.String(), Action: fmt.Sprintf("%d bytes are dropped", c.Gap.Bytes)})
			continue
		}
		chain := rule.Filter.For(c.Writer, c.File, c.Source.Host)
		format.EachRecord(c, func(rec []byte, off int, _ int64) {
			t := TestRecord{Text: string(rec), Became: string(rec), By: "otherwise", Action: filter.Deny,
				Continues: off == 0 && c.Flags&record.Continues != 0, Continued: off+len(rec) == len(c.Data) && c.Flags&record.Continued != 0}
			v := chain.Apply(rec, filter.Key(c.Handle, c.Offset+uint64(off)), &s)
			if t.Continues {
				v.By, v.Text = by, chain.Change(rec, by, &s)
			}
			t.Targets = rule.Filter.Names(v.Targets)
			if v.Text != nil {
				t.Became = string(v.Text)
			}
			if v.Keep {
				t.Action = filter.Allow
			}
			if v.By >= 0 {
				t.By = fmt.Sprintf("filters[%d]", v.By+1)
			} else if len(filters) == 0 {
				t.By = "no filters"
			}
			if t.Continues {
				t.Targets, t.Action, t.By = first.Targets, first.Action, first.By
			}
			if t.Continued {
				first, by = t, v.By
			}
			e.Records = append(e.Records, t)
		})
	}
}

// result compares what came out with what t expects.
func (e *example) result(t config.Test) TestResult {
	r := e.TestResult
	r.Name, r.WantRule = t.Name, t.Rule
	r.OK = t.Rule == "" || t.Rule == r.Rule
	want := map[string]string{}
	for _, x := range t.Out {
		want[x.Target] = x.Text
	}
	for _, name := range e.names {
		to := TestTarget{name, want[name], string(e.got[name])}
		if to.Want != "" || to.Got != "" {
			r.Targets = append(r.Targets, to)
		}
		r.OK = r.OK && to.OK()
	}
	return r
}
