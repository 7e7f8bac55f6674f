package node

import (
	"slices"

	"ftfuse/internal/config"
	"ftfuse/internal/filter"
	"ftfuse/internal/refine"
)

// filterOptions are a rule's filters as the configuration has them; targets are the rule's own.
func filterOptions(filters []config.Filter, otherwise string, sample int, targets []string, own []config.Pattern) filter.Options {
	o := filter.Options{Otherwise: otherwise, Sample: sample, Targets: slices.Clone(targets)}
	for _, f := range filters {
		n := filter.Filter{Action: f.Action, Contains: f.Contains, Prefix: f.Prefix, Match: f.Match, Not: f.Not, Field: f.Field, Is: f.Is,
			Units: f.Units, Commands: f.Commands, Paths: f.Paths, Hosts: f.Hosts,
			Rewrite: f.Rewrite, Redact: f.Redact, With: f.With, Targets: f.Targets}
		for _, id := range f.UIDs {
			n.UIDs = append(n.UIDs, uint32(id))
		}
		o.Filters = append(o.Filters, n)
	}
	for _, p := range own {
		o.Patterns = append(o.Patterns, filter.Pattern(p))
	}
	return o
}

// compile makes a rule for the data stage.
func compile(name string, o filter.Options, limits []config.Limit) (*refine.Rule, error) {
	set, err := filter.New(o)
	if err != nil {
		return nil, err
	}
	r := &refine.Rule{Name: name, Targets: o.Targets, Filter: set}
	for _, l := range limits {
		r.Limits = append(r.Limits, &refine.Limit{Per: per[l.Per], Bytes: int64(l.Bytes), Records: int64(l.Records), Burst: l.Burst,
			Quota: int64(l.Quota), Every: l.Every})
	}
	return r, nil
}

var per = map[string]refine.Per{"rule": refine.PerRule, "uid": refine.PerUID, "unit": refine.PerUnit}
