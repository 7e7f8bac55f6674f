package k2hft

import (
	"fmt"
	"slices"
	"strings"
)

// rule is ours.
type rule struct {
	name      string
	notes     []string // comments above it
	match     []string
	matchNote string
	keys      []kv
	filters   []filter
	otherwise kv
	targets   []string
	reason    string // comment beside targets
	sends     bool   // to receivers
	stored    bool   // send: false
}

// source is a rule of the original, of those of equal TARGET the last.
type source struct {
	*Section
	path string // below the mount, "" is its root
	dir  bool
}

func (s source) owner() string {
	if s.path == "" {
		return "/"
	}
	return s.path
}

// sources returns the rules that hold.
func (t *translator) sources() []source {
	var out []source
	for i := range t.src.Sections {
		s := &t.src.Sections[i]
		if s.Name != secRule && s.Name != secRuleDir {
			continue
		}
		one := source{Section: s, dir: s.Name == secRuleDir}
		e := s.last("TARGET")
		text := s.text("TARGET")
		if t.mount.given && (text == t.mount.path || strings.HasPrefix(text, t.mount.path+"/")) {
			text = strings.TrimPrefix(text, t.mount.path)
		}
		var ok bool
		one.path, ok = relative(text)
		if !ok || one.path == "" && !one.dir {
			t.skip(s, fmt.Sprintf("no rule: got TARGET %q, want a path below the mount", s.text("TARGET")))
			continue
		}
		if e != nil && strings.HasPrefix(e.Text, "/") && one.path != "" {
			t.report.add(Differs, e, one.owner(), "is taken relative to the mount; with / in front the original's rule never holds")
		}
		if j := slices.IndexFunc(out, func(o source) bool { return o.path == one.path }); j >= 0 {
			t.skip(out[j].Section, fmt.Sprintf("the rule of line %d has the same TARGET and holds, as in the original", s.Place.Line))
			out = slices.Delete(out, j, j+1)
		}
		out = append(out, one)
	}
	return out
}

// skip reports all of a rule that is not used.
func (t *translator) skip(s *Section, why string) {
	for i := range s.Entries {
		t.report.add(Differs, &s.Entries[i], "["+s.Name+"] of line "+fmt.Sprint(s.Place.Line), why)
	}
	if len(s.Entries) == 0 {
		t.report.say(Differs, s.Place.String()+": ["+s.Name+"]: "+why)
	}
}

// rules translates all rules and adds the last one, for what no rule names.
func (t *translator) rules(all common) []rule {
	names, except := namer{}, t.exceptions()
	sources := t.sources()
	var out []rule
	for i := range sources {
		s := &sources[i]
		r := t.rule(s, names)
		copies, reason := t.destinations(s, r.name)
		r.add(copies, reason)
		if !r.sends {
			t.finish(s, &r, all, false)
			out = append(out, r)
			continue
		}
		deeper := except.below(s.path, s.dir)
		if len(deeper) > 0 {
			out = append(out, t.exception(s, r, deeper, names, all))
		}
		whole := except.whole(s.path, s.dir)
		if whole == nil {
			r.targets = append(slices.Clone(all.receivers), r.targets...)
			r.keys = all.expire
		} else {
			r.notes = append(r.notes, "Not sent: "+origin(whole)+".")
		}
		t.finish(s, &r, all, whole != nil)
		out = append(out, r)
	}
	t.chained(out, all)
	rest := rule{name: names.name("unnamed"), match: []string{"**"}}
	rest.notes = []string{"Files that no rule names: the original refuses to create them; here they are stored below the mount and not sent."}
	t.report.say(Differs, "files that no rule names: rule "+rest.name+" stores them and does not send them; the original refuses to create them")
	return append(out, rest)
}

// rule reads what a rule matches and whether it sends.
func (t *translator) rule(s *source, names namer) rule {
	r := rule{name: names.name(s.path)}
	pattern := globOf(s.path)
	if s.dir {
		pattern = strings.TrimPrefix(pattern+"/*", "/")
	}
	r.match = []string{pattern}
	if e := s.last("TARGET"); e != nil {
		r.matchNote = origin(e) + " of [" + s.Name + "]"
		text := "rule " + r.name + ", match " + pattern
		if s.path == "" {
			t.report.add(Differs, e, s.owner(), text+": works as documented; in the original creating a file there hangs the mount")
		} else {
			t.report.add(Translated, e, s.owner(), text)
		}
	}
	if e := s.last("TRUNS"); e != nil {
		yes, ok := truth(e.Text)
		if !ok {
			t.report.add(Differs, e, s.owner(), whyTruth)
		} else {
			r.sends = yes
			r.add(nil, origin(e))
			t.report.add(Translated, e, s.owner(), map[bool]string{true: "names the receivers as targets", false: "names no receiver"}[yes])
		}
	}
	return r
}

// add gives a rule targets, and the reason for them.
func (r *rule) add(targets []string, reason string) {
	r.targets = append(r.targets, targets...)
	if reason != "" && r.reason != "" {
		r.reason += "; "
	}
	r.reason += reason
}

// finish adds what depends on the targets. excepted says that EXCEPT_KEY has taken the receivers away.
func (t *translator) finish(s *source, r *rule, all common, excepted bool) {
	switch {
	case len(r.targets) > 0:
		r.keys = slices.Concat(all.keys, r.keys)
		t.filters(s, r, all.binary)
	case excepted:
		r.stored = true
		t.noFilters(s, "what is not sent is stored as it is")
	default:
		r.otherwise = kv{"otherwise", "deny", r.reason}
		r.notes = append(r.notes, "Taken and thrown away, as in the original, where nothing takes it. With send: false in the place of otherwise it is stored below the mount.")
		t.noFilters(s, "nothing takes what passes")
	}
}

// noFilters reports the patterns of a rule that has no use for them.
func (t *translator) noFilters(s *source, why string) {
	for i := range s.Entries {
		if e := &s.Entries[i]; e.Key == "ALLOW" || e.Key == "DENY" || e.Key == "DEFAULTALL" {
			t.report.add(Translated, e, s.owner(), "left out: "+why)
		}
	}
}

// filters translates DEFAULTALL, ALLOW and DENY.
func (t *translator) filters(s *source, r *rule, binary bool) {
	if binary {
		t.noFilters(s, "unit: binary has no lines, and the original ignores them too")
		return
	}
	allow := false
	where := "the default of DEFAULTALL"
	if e := s.last("DEFAULTALL"); e != nil {
		switch strings.ToUpper(e.Text) {
		case "ALLOW", "DENY":
			allow = strings.EqualFold(e.Text, "ALLOW")
			where = origin(e)
			t.report.add(Translated, e, s.owner(), map[bool]string{true: "otherwise: allow, the default", false: "otherwise: deny"}[allow])
		default:
			t.report.add(Differs, e, s.owner(), "the value is neither ALLOW nor DENY, and the original skips it")
		}
	}
	holds, ignored := "ALLOW", "DENY"
	if allow {
		holds, ignored = "DENY", "ALLOW"
	}
	for _, e := range s.every(ignored) {
		t.report.add(Translated, e, s.owner(), "left out: with this DEFAULTALL the original ignores it")
	}
	if !allow {
		r.otherwise = kv{"otherwise", "deny", where}
	}
	t.steps(s, r, s.every(holds), allow)
	if len(r.filters) == 0 && r.otherwise.value == "deny" {
		r.notes = append(r.notes, "Nothing passes, as in the original: DEFAULTALL is DENY, and there is no ALLOW.")
		t.report.say(Differs, "rule "+r.name+": nothing passes, as in the original, where DEFAULTALL is DENY and there is no ALLOW; if that is not meant, remove otherwise: deny")
	}
}

// steps translates the entries that hold, up to one that matches everything.
func (t *translator) steps(s *source, r *rule, entries []*Entry, allow bool) {
	for i, e := range entries {
		if everything(e) {
			text := "matches every line: otherwise: allow, the default"
			r.otherwise = kv{}
			if allow {
				text = "matches every line: otherwise: deny"
				r.otherwise = kv{"otherwise", "deny", origin(e)}
			}
			t.report.add(Translated, e, s.owner(), text)
			for _, rest := range entries[i+1:] {
				t.report.add(Translated, rest, s.owner(), fmt.Sprintf("left out: line %d matches every line before it", e.Place.Line))
			}
			return
		}
		f, notes, err := newFilter(e)
		if err != nil {
			t.report.add(Differs, e, s.owner(), "left out: the pattern has "+err.Error())
			r.notes = append(r.notes, fmt.Sprintf("Left out: %s, with a pattern that has %v.", origin(e), err))
			if !allow {
				t.report.say(Differs, "rule "+r.name+": lines that only the pattern of line "+fmt.Sprint(e.Place.Line)+" allows are denied: write a filter in its place")
			}
			continue
		}
		f.comment = origin(e)
		r.filters = append(r.filters, f)
		if len(notes) == 0 {
			t.report.add(Translated, e, s.owner(), "filter of rule "+r.name)
		}
		for _, n := range notes {
			t.report.add(Differs, e, s.owner(), n)
		}
	}
}

// write writes a rule.
func (r *rule) write(p *page) {
	for _, n := range r.notes {
		p.note(2, n)
	}
	p.line(2, "- name: "+r.name, "")
	p.line(4, "match: "+list(r.match), r.matchNote)
	if r.stored || len(r.targets) == 0 && r.otherwise.key == "" {
		p.line(4, "send: false", r.reason)
		return
	}
	for _, k := range r.keys {
		p.line(4, k.key+": "+k.value, k.note)
	}
	if len(r.filters) > 0 {
		p.line(4, "filters:", "")
	}
	for _, f := range r.filters {
		f.write(p)
	}
	if r.otherwise.key != "" {
		p.line(4, "otherwise: "+r.otherwise.value, r.otherwise.note)
	}
	if len(r.targets) > 0 && !slices.Equal(r.targets, []string{defaultTarget}) {
		p.line(4, "targets: "+list(r.targets), r.reason)
	}
}

func (f *filter) write(p *page) {
	if f.match == "" {
		p.line(6, "- {action: "+f.action+", contains: "+scalar(f.contains)+"}", f.comment)
		return
	}
	p.line(6, "- action: "+f.action, f.comment)
	p.line(8, "match: "+scalar(f.match), "")
	if f.changes {
		p.line(8, "rewrite: "+scalar(f.rewrite), "")
	}
}
