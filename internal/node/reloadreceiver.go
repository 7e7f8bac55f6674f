package node

import (
	"context"
	"errors"
	"fmt"
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
	plugins, err := r.preparePlugins(cfg)
	if err != nil {
		return control.Reload{}, refusal(err)
	}
	r.ruling.Store(next)
	changed, err := r.exchange(before.cfg, cfg)
	if err != nil {
		r.ruling.Store(before)
		return control.Reload{}, refusal(err)
	}
	answer.Changed = append(changedRules(before.cfg.Rules, cfg.Rules, func(c config.ReceiverRule) string { return c.Name },
		!reflect.DeepEqual(before.cfg.Patterns, cfg.Patterns)), changed...)
	more, err := r.replacePlugins(before.cfg, plugins)
	answer.Changed = append(answer.Changed, more...)
	if err != nil {
		return answer, fmt.Errorf("the new rules are in force, but a plug-in did not end well: %w", err)
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
	return keepFixed([]fixed{
		{"state_dir", &cfg.StateDir, &old.StateDir}, {"control", &cfg.Control, &old.Control}, {"log", &cfg.Log, &old.Log},
		{"metrics", &cfg.Metrics, &old.Metrics}, {"listen", &cfg.Listen, &old.Listen}, {"limits", &cfg.Limits, &old.Limits},
	})
}

// preparePlugins makes all plug-ins, and their queue if it is not there yet, before anything is changed.
func (r *receiver) preparePlugins(cfg *config.Receiver) (map[string]destination, error) {
	made := map[string]destination{}
	if !hasPlugins(cfg.Outputs) {
		return made, nil
	}
	if r.intake == nil {
		if err := r.wantIntake(); err != nil {
			return nil, err
		}
		queued := namedSink{"", r.intake}
		_ = r.outputs.exchange(func(list []namedSink) ([]namedSink, error) { return append(list, queued), nil }) // f does not fail
		r.fed.start("", housekeeping{queued})
	}
	for _, c := range cfg.Outputs {
		if c.Type != "plugin" {
			continue
		}
		var err error
		if made[c.Name], err = r.newPlugin(c); err != nil {
			return nil, fmt.Errorf("output %s: %w", c.Name, err)
		}
	}
	return made, nil
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

// exchange closes outputs that differ or are gone, and opens what is new. When one cannot be opened the old ones come back.
func (r *receiver) exchange(old, cfg *config.Receiver) (said []string, err error) {
	was, want := files(old), files(cfg)
	err = r.outputs.exchange(func(list []namedSink) ([]namedSink, error) {
		kept := map[string]sink{}
		for _, o := range list {
			if o.name == "" || reflect.DeepEqual(was[o.name], want[o.name]) {
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
			said = append(said, more...)
			return now, nil
		}
		back, _, again := r.reopen(old, kept)
		return back, errors.Join(err, again)
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
	if q := kept[""]; q != nil {
		list = append(list, namedSink{"", q})
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
