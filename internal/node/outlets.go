package node

import (
	"slices"

	"ftfuse/internal/config"
	"ftfuse/internal/pace"
	"ftfuse/internal/record"
)

// outlet is one position in the queue for a target: with broadcast that of one member, else that of the whole target.
type outlet struct {
	cursor  string          // its name: TARGET, TARGET/MEMBER with broadcast, and :CLASS behind it where that is not normal
	target  config.Target   // without address and members, so that outlets can be compared
	members []config.Member // that data at this position can go to
	shared  bool            // it goes to one or the other of them; else there is one
	class   pace.Class      // of the data
	paced   bool            // data of other classes has positions beside it, and shares its line
}

// outlets are the positions that a target has in the queue, for data of normal priority and for that of further classes.
func outlets(t config.Target, further ...pace.Class) []outlet {
	all := plainOutlets(t)
	for i := range all {
		all[i].class, all[i].paced = pace.Normal, len(further) > 0
	}
	for _, o := range all {
		plain := o.cursor
		for _, c := range further {
			o.cursor, o.class = classCursor(plain, c), c
			all = append(all, o)
		}
	}
	return all
}

func plainOutlets(t config.Target) []outlet {
	list, shared := t.Receivers(), t.Several()
	single := t.Address != ""
	t.Address, t.Members = "", nil
	switch {
	case t.Policy == "broadcast" && !single:
		var all []outlet
		for _, m := range list {
			all = append(all, outlet{cursor: t.Name + "/" + m.Name, target: t, members: []config.Member{m}})
		}
		return all
	case t.Policy == "only":
		list = slices.DeleteFunc(slices.Clone(list), func(m config.Member) bool { return m.Name != t.Only })
	}
	return []outlet{{cursor: t.Name, target: t, members: list, shared: shared}}
}

// member is the name of the only member where there is one of several, "" where the target has one receiver.
func (o *outlet) member() string {
	if o.shared || len(o.members) == 0 || o.members[0].Name == o.target.Name {
		return ""
	}
	return o.members[0].Name
}

// called is the name of a member's connection for people: those of data that is not normal have the class behind it.
func (o *outlet) called(member string) string { return classCursor(member, o.class) }

// className is the class of data that is not normal, "" otherwise.
func (o *outlet) className() string {
	if o.class == pace.Normal {
		return ""
	}
	return o.class.String()
}

// way is how the queue takes what rules send.
type way struct {
	class map[string]pace.Class  // of rules that are not normal
	to    [3]map[string][]string // by class: the positions that a target stands for
	plain bool                   // every target is one position of its name: nothing is to be done
	all   []string               // of normal data, for what names no target; nil: the queue knows them itself
}

// newWay is that of a configuration. classes are those that are in use beside normal.
func newWay(cfg *config.Sender, classes []pace.Class) *way {
	w := &way{class: map[string]pace.Class{}, plain: len(classes) == 0}
	for _, r := range cfg.Rules {
		if c := classOf(r.Priority); r.Send && c != pace.Normal { // what is open of one that sends no more goes as normal data does
			w.class[r.Name] = c
		}
	}
	if len(classes) > 0 {
		w.all = cursorNames(cfg)
	}
	for _, t := range cfg.Targets {
		for _, o := range outlets(t, classes...) {
			if w.to[o.class] == nil {
				w.to[o.class] = map[string][]string{}
			}
			w.to[o.class][t.Name] = append(w.to[o.class][t.Name], o.cursor)
			w.plain = w.plain && o.cursor == t.Name
		}
	}
	return w
}

// spread replaces the names of targets by those of their positions.
func (w *way) spread(names []string, class pace.Class) []string {
	if names == nil {
		return w.all
	}
	all := make([]string, 0, len(names))
	for _, n := range names {
		if list := w.to[class][n]; list != nil {
			all = append(all, list...)
		} else {
			all = append(all, n) // an output: it has no line
		}
	}
	return all
}

// of is the class of a chunk.
func (w *way) of(c *record.Chunk) pace.Class {
	if c.File == nil {
		return pace.Normal
	}
	if class, known := w.class[c.File.Rule]; known {
		return class
	}
	return pace.Normal
}

// forCursors returns chunks as the queue takes them: for cursors. The given ones stay as they are, for people know targets.
func (w *way) forCursors(chunks []record.Chunk) []record.Chunk {
	if w.plain {
		return chunks
	}
	list := slices.Clone(chunks)
	var from, to []string // one list follows the same one mostly, and equal neighbours share their entry in the queue
	var class pace.Class
	for i := range list {
		names, c := list[i].Targets, w.of(&list[i])
		if i == 0 || c != class || (names == nil) != (from == nil) || !slices.Equal(names, from) {
			from, class, to = names, c, w.spread(names, c)
		}
		list[i].Targets = to
	}
	return list
}

// beginEpoch makes what this process appends a stream of its own where data can be at one of several receivers: what one of
// them holds says then nothing of what another life of this process, or a copy of it, gave to another.
func (s *sender) beginEpoch(cfg *config.Sender) error {
	if s.epochBegun || !slices.ContainsFunc(cfg.Targets, func(t config.Target) bool { return t.Several() }) {
		return nil
	}
	_, err := s.queue.BeginEpoch()
	s.epochBegun = err == nil
	return err
}
