package node

import (
	"fmt"
	"path"
	"sync"

	"ftfuse/internal/config"
	"ftfuse/internal/record"
	"ftfuse/internal/refine"
	"ftfuse/internal/rules"
)

// received is all that a receiver's configuration says of data, compiled. A reload replaces it as a whole.
type received struct {
	cfg     *config.Receiver // that it is made of
	byName  map[string]*refine.Rule
	cursors []string // of its targets and plug-ins in the queue; never empty: what is for nobody is for "", which is none

	mu    sync.Mutex // guards hosts
	hosts map[string]*rules.Matcher
}

// maxHosts bounds the matchers that are kept.
const maxHosts = 4096

func newReceived(cfg *config.Receiver) (*received, error) {
	r := &received{cfg: cfg, byName: map[string]*refine.Rule{}, hosts: map[string]*rules.Matcher{}}
	all := cfg.Destinations()
	for _, c := range cfg.Rules {
		targets := c.Outputs
		if len(targets) == 0 {
			targets = all
		}
		var err error
		if r.byName[c.Name], err = compile(c.Name, filterOptions(c.Filters, c.Otherwise, c.Sample, targets, cfg.Patterns), nil); err != nil {
			return nil, fmt.Errorf("rule %s: %w", c.Name, err)
		}
	}
	for _, t := range cfg.Targets {
		for _, o := range outlets(t) {
			r.cursors = append(r.cursors, o.cursor)
		}
	}
	for _, o := range cfg.Outputs {
		if o.Type == "plugin" {
			r.cursors = append(r.cursors, o.Name)
		}
	}
	if r.cursors == nil {
		r.cursors = []string{""}
	}
	_, err := r.matcher("") // says what is wrong with a pattern
	return r, err
}

// matcher returns the rules that hold for one host.
func (r *received) matcher(host string) (*rules.Matcher, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.hosts[host]; m != nil {
		return m, nil
	}
	var o rules.Options // what no rule matches is not to be sent: see Decide
	for _, c := range r.cfg.Rules {
		if forHost(c.Hosts, host) {
			o.Rules = append(o.Rules, rules.Rule{Name: c.Name, Match: c.Match, Decision: record.Decision{Send: true}})
		}
	}
	m, err := rules.New(o)
	if err != nil {
		return nil, err
	}
	if len(r.hosts) >= maxHosts {
		clear(r.hosts)
	}
	r.hosts[host] = m
	return m, nil
}

func forHost(globs []string, host string) bool {
	for _, g := range globs {
		if ok, err := path.Match(g, host); ok && err == nil {
			return true
		}
	}
	return len(globs) == 0
}

// decide returns the rule of a file, nil if none matches: then everything goes to every output and target.
func (r *received) decide(c *record.Chunk) *refine.Rule {
	if c.File == nil {
		return nil
	}
	m, err := r.matcher(c.Source.Host)
	if err != nil { // newReceived has seen to it
		return nil
	}
	d := m.Decide(c.File.Mount, c.File.Path)
	if !d.Send {
		return nil
	}
	return r.byName[d.Rule]
}

// view returns what rules leave of chunks for one output or target, by the rules in force. One goroutine uses it at a time.
func (r *receiver) view(name string) func(*record.Chunk) *record.Chunk {
	type whose struct {
		file   *record.File
		source *record.Source
	}
	const most = 4096
	var by *received
	known := map[whose]*refine.Rule{}
	v := refine.View{Name: name, Decide: func(c *record.Chunk) *refine.Rule {
		k := whose{c.File, c.Source}
		rule, ok := known[k]
		if !ok {
			if len(known) >= most {
				clear(known)
			}
			rule = by.decide(c)
			known[k] = rule
		}
		return rule
	}}
	return func(c *record.Chunk) *record.Chunk {
		if now := r.ruling.Load(); now != by {
			by = now
			clear(known)
		}
		if len(by.cfg.Rules) == 0 {
			return c
		}
		return v.Of(c)
	}
}
