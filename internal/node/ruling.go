package node

import (
	"fmt"
	"slices"
	"time"

	"ftfuse/internal/config"
	"ftfuse/internal/pace"
	"ftfuse/internal/record"
	"ftfuse/internal/refine"
	"ftfuse/internal/rules"
)

// ruling is all that a sender's configuration says of data, compiled. A reload replaces it as a whole.
type ruling struct {
	cfg     *config.Sender // that it is made of
	matcher *rules.Matcher
	byName  map[string]*refine.Rule
	table   *refine.Table
	expire  map[string]time.Duration
	keep    map[string]bool  // rules whose data makes no room for others
	bound   map[string]int64 // of cursors: bytes queued at most
	classes []pace.Class     // of data, in use beside normal
	way     *way             // into the queue
}

// newRuling compiles the rules. What limits have counted goes on from the ruling before, if there is one. standing are the
// classes of data that the queue has.
func newRuling(cfg *config.Sender, before *ruling, standing ...pace.Class) (*ruling, error) {
	if before != nil {
		standing = append(slices.Clone(standing), before.classes...)
	}
	r := &ruling{cfg: cfg, byName: map[string]*refine.Rule{}, expire: map[string]time.Duration{}, keep: map[string]bool{}, bound: map[string]int64{},
		classes: classes(cfg, standing)}
	r.way = newWay(cfg, r.classes)
	o := cfg.RuleOptions()
	var err error
	if r.matcher, err = rules.New(o); err != nil {
		return nil, err
	}
	rest := config.DefaultRule()
	rest.Name, rest.Targets = "default", o.Default.Targets
	for _, c := range append([]config.Rule{rest}, cfg.Rules...) { // a rule called default takes the place of the default's name
		if r.byName[c.Name], err = compileRule(c, cfg.Patterns); err != nil {
			return nil, fmt.Errorf("rule %s: %w", c.Name, err)
		}
		r.expire[c.Name], r.keep[c.Name] = c.Expire, c.WhenFull != record.DropOldest
		if before != nil && before.byName[c.Name] != nil {
			inherit(r.byName[c.Name].Limits, before.byName[c.Name].Limits)
		}
	}
	for _, t := range cfg.Targets {
		for _, o := range outlets(t, r.classes...) {
			r.bound[o.cursor] = int64(t.Backlog)
		}
	}
	for _, out := range cfg.Outputs {
		r.bound[out.Name] = int64(out.Plugin.Backlog)
	}
	fallback, err := compileRule(rest, nil)
	if err != nil {
		return nil, err
	}
	r.table = &refine.Table{Fallback: fallback, Decide: func(mount, path string) *refine.Rule {
		d := r.matcher.Decide(mount, path)
		if !d.Send {
			return nil
		}
		return r.byName[d.Rule]
	}}
	return r, nil
}

func compileRule(c config.Rule, patterns []config.Pattern) (*refine.Rule, error) {
	return compile(c.Name, filterOptions(c.Filters, c.Otherwise, c.Sample, c.Targets, patterns), c.Limits)
}

// inherit takes over limits that are the same, with all that they have counted and until the moment when the new rules hold;
// of others what quotas have counted. Limits are told apart by their written order.
func inherit(limits, before []*refine.Limit) {
	now := time.Now()
	for i := range min(len(limits), len(before)) {
		if limits[i].Same(before[i]) {
			limits[i] = before[i]
		} else if limits[i].Per == before[i].Per && limits[i].Every == before[i].Every {
			limits[i].Restore(before[i].Used(), now)
		}
	}
}

// decider answers mounts by the rules in force.
type decider struct{ s *sender }

func (d decider) Decide(mount, path string) record.Decision {
	return d.s.ruling.Load().matcher.Decide(mount, path)
}
