package node

import (
	"slices"
	"strings"
	"sync"

	"ftfuse/internal/config"
	"ftfuse/internal/pace"
)

// Data of rules whose priority is not normal has positions in the queue of its own, and connections, so that it can pass what
// waits; all connections of a target share its line.

// classOf is the class of a rule's priority.
func classOf(priority string) pace.Class {
	switch priority {
	case "high":
		return pace.High
	case "low":
		return pace.Low
	}
	return pace.Normal
}

// classes are those in use beside normal: what rules say, and what was in use before and may still have data waiting.
func classes(cfg *config.Sender, before []pace.Class) (list []pace.Class) {
	for _, c := range []pace.Class{pace.High, pace.Low} {
		said := slices.ContainsFunc(cfg.Rules, func(r config.Rule) bool { return r.Send && classOf(r.Priority) == c })
		if said || slices.Contains(before, c) {
			list = append(list, c)
		}
	}
	return list
}

// classCursor is the name of the position of a class, for normal data that of the target or the member itself. Those have no colon.
func classCursor(plain string, c pace.Class) string {
	if c == pace.Normal {
		return plain
	}
	return plain + ":" + c.String()
}

// classesOf are the classes that positions of a queue are of.
func classesOf(cursors []string) (list []pace.Class) {
	for _, c := range []pace.Class{pace.High, pace.Low} {
		if slices.ContainsFunc(cursors, func(name string) bool { return strings.HasSuffix(name, ":"+c.String()) }) {
			list = append(list, c)
		}
	}
	return list
}

// keepClasses goes on with the classes whose data an earlier run has left in the queue, whatever rules say now.
func (s *sender) keepClasses() error {
	now, standing := s.ruling.Load(), classesOf(s.queue.Cursors())
	if !slices.ContainsFunc(standing, func(c pace.Class) bool { return !slices.Contains(now.classes, c) }) {
		return nil
	}
	r, err := newRuling(s.cfg, now, standing...)
	if err != nil {
		return err
	}
	s.refine.Swap(r.table)
	s.ruling.Store(r)
	return nil
}

// lines are the lines of targets, by name: all connections of one share it, also those that a reload begins.
type lines struct {
	mu     sync.Mutex // guards byName
	byName map[string]*line
}

type line struct {
	*pace.Line
	limit config.RateLimit
}

// of returns the line of a target, nil where nothing holds it up: it has no limit, and its data is of one class.
func (l *lines) of(t config.Target, classes []pace.Class) (*pace.Line, error) {
	if t.RateLimit.Bytes == 0 && len(classes) == 0 {
		return nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if is := l.byName[t.Name]; is != nil && is.limit == t.RateLimit {
		return is.Line, nil
	}
	made, err := pace.New(int64(t.RateLimit.Bytes), t.RateLimit.Burst)
	if err != nil {
		return nil, err
	}
	if l.byName == nil {
		l.byName = map[string]*line{}
	}
	l.byName[t.Name] = &line{made, t.RateLimit}
	return made, nil
}
