package config

import (
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/rules"
)

// Rule decides about the paths that it matches.
type Rule struct {
	Name      string            `koanf:"name" form:"name"`
	Match     []string          `koanf:"match" form:"glob"`  // relative to the mount
	Mounts    []string          `koanf:"mounts" form:"name"` // names; none: every mount
	Send      bool              `koanf:"send"`
	Capture   record.Mode       `koanf:"capture"`
	Unit      record.Unit       `koanf:"unit"`
	LineEnd   record.LineEnd    `koanf:"line_end"`
	Join      Join              `koanf:"join"`
	MaxRecord Size              `koanf:"max_record" min:"1" max:"1MiB"`
	TooLong   record.LongRecord `koanf:"too_long"`
	MaxAge    time.Duration     `koanf:"max_age" min:"0s"` // 0: a partial line waits until it ends
	Batch     Gather            `koanf:"batch"`
	Readback  Size              `koanf:"readback" min:"0"`
	Expire    time.Duration     `koanf:"expire" min:"0s"`                  // 0: never
	Priority  string            `koanf:"priority" oneof:"high normal low"` // which goes first where a target's line is thin
	WhenFull  record.WhenFull   `koanf:"when_full"`
	Block     time.Duration     `koanf:"block" min:"0s" max:"1h"`
	Filters   []Filter          `koanf:"filters"`                      // in written order
	Otherwise string            `koanf:"otherwise" oneof:"allow deny"` // what no filter decides
	Sample    int               `koanf:"sample" min:"1"`               // one of so many records passes
	Limits    []Limit           `koanf:"limits"`
	Targets   []string          `koanf:"targets" form:"name"` // of targets and outputs
}

// Join says which lines make one record together. At most one of Start and Continue is set; none: each line is a record.
type Join struct {
	Start    string        `koanf:"start" form:"regexp?"`    // a line that matches begins a record
	Continue string        `koanf:"continue" form:"regexp?"` // a line that matches belongs to the record before
	Wait     time.Duration `koanf:"wait" min:"1ms" max:"1h"` // a record that has got no line for so long is complete
	Lines    int           `koanf:"lines" min:"1"`           // of one record at most
}

// Gather says how long complete records wait for company. With Wait alone they wait that long.
type Gather struct {
	Bytes   Size          `koanf:"bytes" min:"0"`           // sent when so many wait; 0: not by bytes
	Records int           `koanf:"records" min:"0"`         // or so many records; 0: not by records
	Wait    time.Duration `koanf:"wait" min:"0s" max:"24h"` // or the first has waited so long; 0: none waits
}

// Limit takes out what goes beyond a rate or a quota. It needs Bytes, Records or Quota.
type Limit struct {
	Per     string        `koanf:"per" oneof:"rule uid unit"`  // what each has an allowance of its own
	Bytes   Size          `koanf:"bytes" min:"0"`              // a second; 0: no limit
	Records int           `koanf:"records" min:"0"`            // a second; 0: no limit
	Burst   time.Duration `koanf:"burst" min:"100ms" max:"1h"` // allowance that can be saved up
	Quota   Size          `koanf:"quota" min:"0"`              // bytes in each Every; 0: no limit
	Every   time.Duration `koanf:"every" min:"1s" max:"366d"`  //
}

// Pattern is one of the operator's own, for filters that redact.
type Pattern struct {
	Name  string `koanf:"name" form:"name"`
	Match string `koanf:"match" form:"regexp"`
}

// Test is an example that `ftfuse test` runs: lines go in, and come out where Out says.
type Test struct {
	Name    string   `koanf:"name" form:"name"`
	Mount   string   `koanf:"mount" form:"name?"` // of a sender: "" is the first one
	Path    string   `koanf:"path" form:"below"`  // below the mount
	Host    string   `koanf:"host"`               // of a receiver: the sending machine
	Rule    string   `koanf:"rule" form:"name?"`  // the rule that must decide; "": any
	UID     UserID   `koanf:"uid" form:"id"`      // of the writer
	Unit    string   `koanf:"unit"`               // of the writer: its systemd unit
	Command string   `koanf:"command"`            // of the writer: its program's name
	In      string   `koanf:"in" form:"bytes"`
	Out     []Expect `koanf:"out"` // what is not listed gets nothing
}

// Expect is what must arrive at one target or output.
type Expect struct {
	Target string `koanf:"target" form:"name"`
	Text   string `koanf:"text" form:"bytes?"`
}

// RuleOptions returns the rules as the matcher takes them. What no rule matches goes to the first target, or to the
// first output where there is no target, by the values that a rule has where it says nothing.
func (c *Sender) RuleOptions() rules.Options {
	o := rules.Options{Default: decision(DefaultRule())}
	switch {
	case len(c.Targets) > 0:
		o.Default.Targets = []string{c.Targets[0].Name}
	case len(c.Outputs) > 0:
		o.Default.Targets = []string{c.Outputs[0].Name}
	}
	for _, r := range c.Rules {
		o.Rules = append(o.Rules, rules.Rule{Name: r.Name, Match: r.Match, Mounts: r.Mounts, Decision: decision(r)})
	}
	return o
}

func decision(r Rule) record.Decision {
	return record.Decision{
		Send: r.Send, Capture: r.Capture, Unit: r.Unit, LineEnd: r.LineEnd, Join: record.Join(r.Join),
		MaxRecord: int(r.MaxRecord), TooLong: r.TooLong, MaxAge: r.MaxAge,
		Gather:   record.Gather{Bytes: int64(r.Batch.Bytes), Records: r.Batch.Records, Wait: r.Batch.Wait},
		Readback: int64(r.Readback), Expire: r.Expire,
		WhenFull: r.WhenFull, Block: r.Block, Targets: r.Targets,
	}
}
