package node

import (
	"slices"

	"ftfuse/internal/config"
	"ftfuse/internal/record"
)

// outlet is one position in the queue for a target: with broadcast that of one member, else that of the whole target.
type outlet struct {
	cursor  string
	target  config.Target   // without address and members, so that outlets can be compared
	members []config.Member // that data at this position can go to
	shared  bool            // it goes to one or the other of them; else there is one
}

// outlets are the positions that a target has in the queue.
func outlets(t config.Target) []outlet {
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

// cursors are the positions in the queue that each target or output stands for, where that is not one of its own name.
func cursors(targets []config.Target) map[string][]string {
	all := map[string][]string{}
	for _, t := range targets {
		list := outlets(t)
		if len(list) == 1 && list[0].cursor == t.Name {
			continue
		}
		for _, o := range list {
			all[t.Name] = append(all[t.Name], o.cursor)
		}
	}
	return all
}

// spread replaces the names of targets by those of their positions.
func spread(names []string, cursors map[string][]string) []string {
	if !slices.ContainsFunc(names, func(n string) bool { return cursors[n] != nil }) {
		return names
	}
	var all []string
	for _, n := range names {
		if list := cursors[n]; list != nil {
			all = append(all, list...)
		} else {
			all = append(all, n)
		}
	}
	return all
}

// forCursors returns chunks as the queue takes them: for cursors. The given ones stay as they are, for people know targets.
func (r *ruling) forCursors(chunks []record.Chunk) []record.Chunk {
	if len(r.cursors) == 0 {
		return chunks
	}
	list := slices.Clone(chunks)
	var from, to []string // one list follows the same one mostly, and equal neighbours share their entry in the queue
	for i := range list {
		names := list[i].Targets
		if i == 0 || !slices.Equal(names, from) {
			from, to = names, spread(names, r.cursors)
		}
		if names != nil {
			list[i].Targets = to
		}
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
