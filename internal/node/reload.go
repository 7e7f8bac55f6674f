package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/notice"
	"ftfuse/internal/pace"
	"ftfuse/internal/queue"
	"ftfuse/internal/systemd"
)

// Load reads the configuration anew; warnings are for people.
type Load[C any] func() (cfg *C, warnings []string, err error)

// errStays ends every refusal of a reload.
const errStays = "nothing has changed: what was in force stays in force"

// refusal makes an answer of what keeps a reload from being done.
func refusal(err error) error {
	return &control.Error{Status: 422, Text: err.Error(), Hint: errStays + "; `ftfuse check` says what is wrong"}
}

// reload puts the configuration as it is now in force: rules at once and as a whole, targets and outputs each by an end
// and a new beginning at the same place of the queue. What needs a restart is left as it is, and named.
func (s *sender) reload(context.Context) (control.Reload, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	cfg, warnings, err := s.load()
	if err != nil {
		return control.Reload{}, refusal(err)
	}
	before := s.ruling.Load()
	answer := control.Reload{Warnings: warnings, Restart: s.keepFixed(cfg, before.cfg)}
	next, err := newRuling(cfg, before)
	if err != nil {
		return control.Reload{}, refusal(err)
	}
	renew, renewed, err := s.tunnels.stage(cfg.Targets)
	if err != nil {
		return control.Reload{}, refusal(err)
	}
	forget := newCursors(s.queue)
	change, err := s.prepare(before, next)
	if err != nil {
		return control.Reload{}, refusal(errors.Join(err, forget()))
	}
	passed := change.pass(s.queue, s.destinations)
	renew()
	s.refine.Swap(next.table) // before mounts decide by it: no file may come here of which the table does not know
	s.ruling.Store(next)
	answer.Changed = append(changedRules(before.cfg.Rules, cfg.Rules, func(r config.Rule) string { return r.Name },
		!reflect.DeepEqual(before.cfg.Patterns, cfg.Patterns)), change.names()...)
	answer.Changed = append(answer.Changed, renewed...)
	if err := errors.Join(passed, change.apply(s.destinations)); err != nil {
		return answer, fmt.Errorf("the new rules are in force, but what was replaced did not end well: %w", err)
	}
	return answer, nil
}

// fixed is a section that cannot change while the process runs.
type fixed struct {
	name    string
	is, was any // pointers
}

// keepFixed gives sections the values that they had, and names those that differ.
func keepFixed(sections []fixed) (differs []string) {
	for _, f := range sections {
		is, was := reflect.ValueOf(f.is).Elem(), reflect.ValueOf(f.was).Elem()
		if !reflect.DeepEqual(is.Interface(), was.Interface()) {
			differs = append(differs, f.name)
			is.Set(was)
		}
	}
	return differs
}

// keepFixed gives cfg the old values of what cannot change while the sender runs, and names what differs.
func (s *sender) keepFixed(cfg, old *config.Sender) []string {
	return keepFixed([]fixed{
		{"host", &cfg.Host, &old.Host}, {"state_dir", &cfg.StateDir, &old.StateDir}, {"spool_dir", &cfg.SpoolDir, &old.SpoolDir},
		{"control", &cfg.Control, &old.Control}, {"log", &cfg.Log, &old.Log}, {"metrics", &cfg.Metrics, &old.Metrics},
		{"mounts", &cfg.Mounts, &old.Mounts}, {"queue", &cfg.Queue, &old.Queue},
	})
}

// newCursors returns what removes the cursors that q has got since: a reload that is refused leaves none behind, which
// nobody would read.
func newCursors(q *queue.Queue) (forget func() error) {
	had := q.Cursors()
	return func() (err error) {
		for _, name := range q.Cursors() {
			if !slices.Contains(had, name) {
				err = errors.Join(err, q.RemoveCursor(name))
			}
		}
		return err
	}
}

// change is what a reload does to destinations.
type change struct {
	gone   []string // names
	fresh  []named  // in the place of one of the same name, or new
	again  map[string]bool
	role   string // "", or the --role that commands of the queue need
	turned []turned
	passes []succession
	heirs  heirs // of passes
}

type named struct {
	kind, name string
	destination
}

// turned is a target that goes on with other members.
type turned struct {
	pool   *pool
	outlet outlet
}

// prepare makes the destinations that are new or differ, and their cursors, before anything is changed.
func (s *sender) prepare(old, next *ruling) (*change, error) {
	cfg := next.cfg
	c := &change{again: map[string]bool{}}
	was := map[string]any{}
	for _, t := range old.cfg.Targets {
		for _, o := range outlets(t, old.classes...) {
			was[o.cursor] = o
		}
	}
	for _, o := range old.cfg.Outputs {
		was[o.Name] = o
	}
	if err := c.succeed(cfg.Targets, old.cfg.Targets, next.classes, s.queue, was); err != nil {
		return nil, err
	}
	deliver := s.delivery(next.classes)
	deliver.heirs = c.heirs
	for _, t := range cfg.Targets {
		for _, o := range outlets(t, next.classes...) {
			if err := c.add(s.destinations, was, "target", o.cursor, o, func() (destination, error) { return deliver.open(o) }); err != nil {
				return nil, err
			}
		}
	}
	for _, o := range cfg.Outputs {
		if err := c.add(s.destinations, was, "output", o.Name, o, func() (destination, error) { return s.newLocal(cfg, o) }); err != nil {
			return nil, err
		}
	}
	c.gone = slices.Sorted(maps.Keys(was))
	return c, s.beginEpoch(cfg)
}

// succeed notes whose places in the queue others take. Those are not in was afterwards.
func (c *change) succeed(now, old []config.Target, classes []pace.Class, q *queue.Queue, was map[string]any) (err error) {
	c.passes, err = successions(now, old, classes, q)
	c.heirs = heirsOf(c.passes, q)
	for _, p := range c.passes {
		delete(was, p.from)
	}
	return err
}

// pass ends those whose places others take, and lets them.
func (c *change) pass(q *queue.Queue, all *destinations) error {
	var from []string
	for _, p := range c.passes {
		from = append(from, p.from)
	}
	err := all.stop(from...)
	return errors.Join(err, c.heirs.succeed(c.passes, q))
}

// add notes what becomes of a destination, by what the configuration says of it: v. was is what it said of all before; those
// that are left there in the end are gone.
func (c *change) add(at *destinations, was map[string]any, kind, name string, v any, make func() (destination, error)) error {
	before, known := was[name]
	delete(was, name)
	if known && (reflect.DeepEqual(before, v) && !restartsAlways(v) || c.turns(at.get(name), before, v)) {
		return nil
	}
	d, err := make()
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, name, err)
	}
	c.fresh = append(c.fresh, named{kind, name, d})
	c.again[name] = known
	return nil
}

// turns notes that a destination can go on with other members, if that is so.
func (c *change) turns(d destination, before, now any) bool {
	p, ok := d.(*pool)
	was, isOutlet := before.(outlet)
	is, _ := now.(outlet)
	if !ok || !isOutlet || was.shared != is.shared || was.paced != is.paced || !reflect.DeepEqual(was.target, is.target) {
		return false
	}
	c.turned = append(c.turned, turned{p, is})
	return true
}

// restartsAlways says whether a destination begins anew at each reload: a plug-in's program may have changed.
func restartsAlways(v any) bool {
	o, ok := v.(config.Output)
	return ok && o.Type == "plugin"
}

func (c *change) names() (list []string) {
	for _, f := range c.fresh {
		what := "begun"
		if c.again[f.name] {
			what = "begun anew"
		}
		list = append(list, fmt.Sprintf("%s %s %s", f.kind, f.name, what))
	}
	for _, t := range c.turned {
		list = append(list, "target "+t.outlet.cursor+" has other members")
	}
	for _, p := range c.passes {
		list = append(list, p.String())
	}
	for _, name := range c.gone {
		list = append(list, fmt.Sprintf("%s ended; what waits for it stays queued until `ftfuse queue purge%s cursor:%s`", name, c.role, name))
	}
	return list
}

// apply ends and begins. The queue keeps each one's place.
func (c *change) apply(all *destinations) error {
	old := slices.Clone(c.gone)
	for _, f := range c.fresh {
		old = append(old, f.name)
	}
	for _, t := range c.turned {
		t.pool.set(t.outlet)
	}
	err := all.stop(old...)
	for _, f := range c.fresh {
		all.start(f.name, f.destination)
	}
	return err
}

// changedRules says which rules are not what they were; all of them if what they share differs.
func changedRules[R any](old, now []R, name func(R) string, shared bool) (list []string) {
	was := map[string]R{}
	for _, r := range old {
		was[name(r)] = r
	}
	for _, r := range now {
		before, known := was[name(r)]
		delete(was, name(r))
		switch {
		case !known:
			list = append(list, "rule "+name(r)+" added")
		case shared || !reflect.DeepEqual(before, r):
			list = append(list, "rule "+name(r)+" changed")
		}
	}
	for _, r := range old {
		if _, gone := was[name(r)]; gone {
			list = append(list, "rule "+name(r)+" removed")
		}
	}
	if len(list) == 0 && !slices.EqualFunc(old, now, func(a, b R) bool { return name(a) == name(b) }) {
		list = append(list, "rules in another order")
	}
	return list
}

// onHup reloads for every SIGHUP until ctx ends, and keeps the service manager posted: it waits for the end of a reload.
func onHup(ctx context.Context, p Process, reload func(context.Context) (control.Reload, error)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.Hup:
		}
		if err := systemd.Reloading(); err != nil {
			p.Log.Warn(err.Error())
		}
		_, _ = reload(ctx) // which says in the log how it went
		p.Ready()
	}
}

// told makes a reload say in the log how it went, whoever asked for it.
func told(p Process, reload func(context.Context) (control.Reload, error)) func(context.Context) (control.Reload, error) {
	return func(ctx context.Context) (control.Reload, error) {
		answer, err := reload(ctx)
		sayReload(p, answer, err)
		return answer, err
	}
}

// sayReload logs what a reload has done.
func sayReload(p Process, r control.Reload, err error) {
	for _, w := range r.Warnings {
		p.Log.Warn(w)
	}
	if err != nil {
		p.Log.Error("reload failed: "+err.Error(), notice.ReloadFailed, "hint", errStays)
		return
	}
	changed := strings.Join(r.Changed, ", ")
	if changed == "" {
		changed = "nothing"
	}
	p.Log.Info("reloaded", "changed", changed)
	if len(r.Restart) > 0 {
		p.Log.Warn("changed in the file, but in force only after a restart: "+strings.Join(r.Restart, ", "), notice.ReloadPartly)
	}
}
