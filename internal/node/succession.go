package node

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"ftfuse/internal/config"
	"ftfuse/internal/pace"
	"ftfuse/internal/queue"
)

// With policy broadcast each member of a target has a position in the queue, else the target has one. When that changes, by a
// reload or between two runs, what waits at the old position goes on from the new ones.

// succession is a position in the queue, of no target any more, whose place others take, which are not there yet.
type succession struct {
	from string
	to   []string
}

func (s succession) String() string {
	return fmt.Sprintf("what waits for %s goes to %s", s.from, strings.Join(s.to, " and "))
}

// successions lists them for a queue whose targets are to be these. were are the targets until now, nil where nobody knows.
func successions(targets, were []config.Target, classes []pace.Class, q *queue.Queue) (list []succession, err error) {
	have := q.Cursors()
	for _, t := range targets {
		for _, class := range append([]pace.Class{pace.Normal}, classes...) {
			s := succession{from: classCursor(t.Name, class)}
			for _, o := range outlets(t, classes...) {
				if o.class == class && !slices.Contains(have, o.cursor) {
					s.to = append(s.to, o.cursor)
				}
			}
			if slices.Contains(s.to, s.from) { // it is that of the whole target, which had members' before
				if s.from, err = placeOf(t, were, class, q); err != nil {
					return nil, err
				}
			}
			if len(s.to) > 0 && slices.Contains(have, s.from) {
				list = append(list, s)
			}
		}
	}
	return list, nil
}

// placeOf is where in the queue a target goes on that had a position for each member: of those that are still members where the
// one is that has got most, for what waits behind that is at none of them; if none is, where the one is that has got least. "" if it
// had none.
func placeOf(t config.Target, were []config.Target, class pace.Class, q *queue.Queue) (place string, err error) {
	var at uint64
	stayed := false
	for _, name := range q.Cursors() {
		member, ok := memberAt(t.Name, class, name)
		if !ok {
			continue
		}
		c, err := q.Cursor(name)
		if err != nil {
			return "", err
		}
		acked, _ := c.Acked()
		stays := staysIn(t, were, member)
		if place == "" || stays && (!stayed || acked > at) || !stays && !stayed && acked < at {
			place, at, stayed = name, acked, stays
		}
	}
	return place, nil
}

// memberAt says of which member of a target a position is, if of any.
func memberAt(target string, class pace.Class, position string) (member string, ok bool) {
	member, of := strings.CutPrefix(position, target+"/")
	member, ok = strings.CutSuffix(member, classCursor("", class))
	return member, of && ok && !strings.Contains(member, ":")
}

// staysIn says whether one who was a member of a target is one now, by its name or by the address that it had.
func staysIn(t config.Target, were []config.Target, member string) bool {
	addresses := map[string]bool{}
	for _, old := range were {
		for _, m := range old.Receivers() {
			if old.Name == t.Name && m.Name == member {
				addresses[m.Address] = true
			}
		}
	}
	return slices.ContainsFunc(t.Receivers(), func(m config.Member) bool { return m.Name == member || addresses[m.Address] })
}

// heirs are cursors that take the places of others, by name. Nothing may be read of them before.
type heirs map[string]*queue.Cursor

// heirsOf makes the cursors of successions.
func heirsOf(list []succession, q *queue.Queue) heirs {
	all := heirs{}
	for _, s := range list {
		for _, name := range s.to {
			all[name] = q.Heir(name)
		}
	}
	return all
}

// succeed gives the heirs the places of those that nothing reads any more.
func (h heirs) succeed(list []succession, q *queue.Queue) error {
	for _, s := range list {
		var to []*queue.Cursor
		for _, name := range s.to {
			to = append(to, h[name])
		}
		if err := q.Succeed(s.from, to...); err != nil {
			return err
		}
	}
	return nil
}

// settleSuccessions does at a start what a reload would have done, and says in the log what that was.
func settleSuccessions(targets []config.Target, classes []pace.Class, q *queue.Queue, log *slog.Logger) error {
	list, err := successions(targets, nil, classes, q)
	if err != nil {
		return err
	}
	if err := heirsOf(list, q).succeed(list, q); err != nil {
		return err
	}
	for _, s := range list {
		log.Info("target has changed: " + s.String())
	}
	return nil
}
