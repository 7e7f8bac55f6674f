package node

import (
	"context"
	"fmt"

	"ftfuse/internal/config"
	"ftfuse/internal/uplink"
)

// peer is a receiver that takes data from the queue.
type peer struct {
	outlet   outlet
	up       *uplink.Uplink
	identity *identity
}

func (p *peer) run(ctx context.Context) error { return p.up.Run(ctx) }

// newLocal makes the output c of cfg, of this machine, which takes what waits at its cursor.
func (s *sender) newLocal(cfg *config.Sender, c config.Output) (destination, error) {
	cur, err := s.queue.Cursor(c.Name)
	if err != nil {
		return nil, err
	}
	if c.Type == "plugin" {
		return s.newPlugin(cfg, c, cur)
	}
	return &local{s: s, cfg: c, cur: cur}, nil
}

// openDestinations makes all that takes data from the queue.
func (s *sender) openDestinations(cfg *config.Sender) (map[string]destination, error) {
	all := map[string]destination{}
	for _, t := range cfg.Targets {
		for _, o := range outlets(t, s.ruling.Load().classes...) {
			d, err := s.delivery(s.ruling.Load().classes).open(o)
			if err != nil {
				return nil, fmt.Errorf("target %s: %w", t.Name, err)
			}
			all[o.cursor] = d
		}
	}
	for _, o := range cfg.Outputs {
		d, err := s.newLocal(cfg, o)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", o.Name, err)
		}
		all[o.Name] = d
	}
	return all, nil
}
