package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
)

// reload puts the configuration as it is now in force: rules at once and as a whole; outputs that differ are closed and
// opened while no batch is under way; plug-ins begin anew at their place of the queue. Files are opened anew in any case,
// for a logrotate of the operator's own.
func (r *receiver) reload(context.Context) (control.Reload, error) {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	for _, o := range r.outputs.all() {
		o.Reopen()
	}
	cfg, warnings, err := r.load()
	if err != nil {
		return control.Reload{}, refusal(err)
	}
	before := r.ruling.Load()
	answer := control.Reload{Warnings: warnings, Restart: r.keepFixed(cfg, before.cfg)}
	if err := sameTypes(before.cfg.Outputs, cfg.Outputs); err != nil {
		return control.Reload{}, refusal(err)
	}
	next, err := newReceived(cfg)
	if err != nil {
		return control.Reload{}, refusal(err)
	}
	allowed, err := allowances(cfg.Peers)
	if err != nil {
		return control.Reload{}, refusal(err)
	}
	renew, renewed, err := r.door.stage(cfg.TLS)
	if err != nil {
		return control.Reload{}, refusal(err)
	}
	renewTargets, renewedTargets, err := r.tunnels.stage(cfg.Targets)
	if err != nil {
		return control.Reload{}, refusal(err)
	}
	plugins, targets, forget, err := r.prepare(before.cfg, cfg)
	if err != nil {
		return control.Reload{}, refusal(errors.Join(err, forget()))
	}
	changed, err := r.exchange(before, next, targets)
	if err != nil {
		return control.Reload{}, refusal(errors.Join(err, forget()))
	}
	renew()
	renewTargets()
	r.ingest.SetPeers(allowed) // also where they are the same: those whose certificate is not accepted any more end by it
	answer.Changed = append(changedRules(before.cfg.Rules, cfg.Rules, func(c config.ReceiverRule) string { return c.Name },
		!reflect.DeepEqual(before.cfg.Patterns, cfg.Patterns)), changed...)
	answer.Changed = append(append(answer.Changed, renewed...), renewedTargets...)
	if !reflect.DeepEqual(before.cfg.Peers, cfg.Peers) {
		answer.Changed = append(answer.Changed, "peers changed")
	}
	more, err := r.replacePlugins(before.cfg, plugins)
	answer.Changed = append(append(answer.Changed, more...), targets.names()...)
	if err = errors.Join(err, targets.apply(r.fed)); err != nil {
		return answer, fmt.Errorf("the new rules are in force, but what was replaced did not end well: %w", err)
	}
	return answer, nil
}

// sameTypes refuses an output that becomes a plug-in, or ceases to be one: the one has its data from the queue, the other not.
func sameTypes(old, now []config.Output) error {
	was := map[string]bool{}
	for _, o := range old {
		was[o.Name] = o.Type == "plugin"
	}
	for _, o := range now {
		if plugin, known := was[o.Name]; known && plugin != (o.Type == "plugin") {
			return fmt.Errorf("output %s: type %s needs another name than the output had that it replaces, or a restart", o.Name, o.Type)
		}
	}
	return nil
}

// keepFixed gives cfg the old values of what cannot change while the receiver runs, and names what differs.
func (r *receiver) keepFixed(cfg, old *config.Receiver) []string {
	sections := []fixed{
		{"state_dir", &cfg.StateDir, &old.StateDir}, {"control", &cfg.Control, &old.Control}, {"log", &cfg.Log, &old.Log},
		{"metrics", &cfg.Metrics, &old.Metrics}, {"listen", &cfg.Listen, &old.Listen}, {"limits", &cfg.Limits, &old.Limits},
		{"queue", &cfg.Queue, &old.Queue}, {"insecure", &cfg.Insecure, &old.Insecure},
	}
	if cfg.TLS.On() != old.TLS.On() { // other files are no matter
		sections = append(sections, fixed{"tls", &cfg.TLS, &old.TLS})
	}
	return keepFixed(sections)
}

// prepare makes all plug-ins, and the targets that are new or differ, and their queue if it is not there yet, before anything
// is changed. forget takes back what it has begun for them, when they are not to run.
func (r *receiver) prepare(old, cfg *config.Receiver) (plugins map[string]destination, targets *change, forget func() error, err error) {
	targets, forget = &change{again: map[string]bool{}, role: " --role receiver"}, func() error { return nil }
	if needsQueue(cfg) {
		if err := r.wantIntake(); err != nil {
			return nil, targets, forget, err
		}
		forget = newCursors(r.intake.Load().Queue)
	}
	if plugins, err = r.newPlugins(cfg); err != nil {
		return nil, targets, forget, err
	}
	return plugins, targets, forget, r.prepareTargets(targets, old.Targets, cfg.Targets)
}

// prepareTargets adds what becomes of targets to c.
func (r *receiver) prepareTargets(c *change, old, now []config.Target) error {
	was := map[string]any{}
	for _, t := range old {
		for _, o := range outlets(t) {
			was[o.cursor] = o
		}
	}
	if len(now) == 0 {
		c.gone = slices.Sorted(maps.Keys(was))
		return nil
	}
	deliver := r.delivery()
	if err := c.succeed(now, old, nil, deliver.queue, was); err != nil {
		return err
	}
	deliver.heirs = c.heirs
	for _, t := range now {
		for _, o := range outlets(t) {
			if err := c.add(r.fed, was, "target", o.cursor, o, func() (destination, error) { return deliver.open(o) }); err != nil {
				return err
			}
		}
	}
	c.gone = slices.Sorted(maps.Keys(was))
	return nil
}

// replacePlugins ends the plug-ins that run and begins those that are made.
func (r *receiver) replacePlugins(old *config.Receiver, made map[string]destination) (said []string, err error) {
	var gone []string
	for _, c := range old.Outputs {
		if c.Type != "plugin" {
			continue
		}
		gone = append(gone, c.Name)
		if made[c.Name] == nil {
			said = append(said, "output "+c.Name+" ended")
		}
	}
	err = r.fed.stop(gone...)
	for name, d := range made {
		r.fed.start(name, d)
		said = append(said, "output "+name+" begun anew")
	}
	slices.Sort(said)
	return said, err
}

// exchange closes outputs that differ or are gone, and opens what is new, and puts the rules in force: nothing is put to the
// old outputs by new rules, or there would be records for an output that is not there yet. When an output cannot be opened
// the old ones come back. Targets that take the places of others do so meanwhile, before anybody is told what they have.
func (r *receiver) exchange(before, next *received, targets *change) (said []string, err error) {
	old, cfg := before.cfg, next.cfg
	was, want := files(old), files(cfg)
	err = r.outputs.exchange(func(list []namedSink) ([]namedSink, error) {
		if err := r.enrol(cfg); err != nil {
			return list, errors.Join(err, r.retire(old))
		}
		kept := map[string]sink{}
		for _, o := range list {
			_, lacks := o.sink.(*absent)
			if o.name == "" || reflect.DeepEqual(was[o.name], want[o.name]) && !lacks {
				kept[o.name] = o.sink
				continue
			}
			if err := errors.Join(r.fed.stop(o.name), o.Close()); err != nil {
				r.log.Warn("output did not close well", "output", o.name, "error", err)
			}
			if _, stays := want[o.name]; !stays {
				said = append(said, "output "+o.name+" ended")
			}
		}
		now, more, err := r.reopen(cfg, kept)
		if err == nil {
			if len(targets.passes) > 0 {
				if err := targets.pass(r.intake.Load().Queue, r.fed); err != nil {
					r.log.Warn("targets did not end well whose places others take", "error", err)
				}
			}
			if err := r.setEnds(cfg); err != nil {
				r.log.Warn("acknowledgements of targets stay as they were", "error", err)
			}
			r.ruling.Store(next) // not before: plug-ins take data all the while, and the old rules may stay
			said = append(said, more...)
			if err := r.retire(cfg); err != nil { // they count as taking part until the next reload
				r.log.Warn("outputs that are gone cannot be noted in the ledger", "error", err)
			}
			return now, nil
		}
		return r.putBack(old, kept), errors.Join(err, r.retire(old))
	})
	return said, err
}

// reopen returns the outputs of cfg in its order: those that are kept, and others opened.
func (r *receiver) reopen(cfg *config.Receiver, kept map[string]sink) (list []namedSink, said []string, err error) {
	fresh := map[string]sink{}
	for _, c := range cfg.Outputs {
		if c.Type == "plugin" || kept[c.Name] != nil {
			continue
		}
		o, e := r.openSink(c)
		if e != nil {
			err = e
			break
		}
		fresh[c.Name] = o
		said = append(said, "output "+c.Name+" opened")
	}
	if err != nil { // what was opened closes again
		for _, o := range fresh {
			err = errors.Join(err, o.Close())
		}
		fresh = nil
	}
	for _, c := range cfg.Outputs {
		o := kept[c.Name]
		if o == nil && fresh[c.Name] != nil {
			o = fresh[c.Name]
			r.fed.start(c.Name, housekeeping{o})
		}
		if o != nil {
			list = append(list, namedSink{c.Name, o})
		}
	}
	if kept[""] != nil || r.intake.Load() != nil && needsQueue(cfg) {
		q := namedSink{"", r.intake.Load()}
		if list = append(list, q); r.fed.get("") == nil {
			r.fed.start("", housekeeping{q})
		}
	}
	return list, said, err
}

// files are the outputs that are written before a batch is acknowledged.
func files(cfg *config.Receiver) map[string]*config.Output {
	all := map[string]*config.Output{}
	for i := range cfg.Outputs {
		if o := &cfg.Outputs[i]; o.Type != "plugin" {
			all[o.Name] = o
		}
	}
	return all
}
