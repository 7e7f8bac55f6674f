package node

import (
	"ftfuse/internal/config"
	"ftfuse/internal/pace"
	"ftfuse/internal/queue"
)

// cursorNames are the cursors that a sender's queue has, for normal data and for that of further classes.
func cursorNames(cfg *config.Sender, further ...pace.Class) (names []string) {
	for _, t := range cfg.Targets {
		for _, o := range outlets(t, further...) {
			names = append(names, o.cursor)
		}
	}
	for _, o := range cfg.Outputs {
		names = append(names, o.Name)
	}
	return names
}

// destinationNames are the targets and outputs, as rules name them.
func destinationNames(cfg *config.Sender) (names []string) {
	for _, t := range cfg.Targets {
		names = append(names, t.Name)
	}
	for _, o := range cfg.Outputs {
		names = append(names, o.Name)
	}
	return names
}

func durability(s string) queue.Durability {
	return map[string]queue.Durability{"memory": queue.Memory, "os": queue.OS, "disk": queue.Disk}[s]
}

func modeOrNil(m config.Mode) *uint32 {
	if m == 0 {
		return nil
	}
	v := uint32(m)
	return &v
}

func idOrNil(id int) *uint32 {
	if id == config.Keep {
		return nil
	}
	v := uint32(id)
	return &v
}
