package node

import (
	"context"
	"fmt"

	"ftfuse/internal/config"
	"ftfuse/internal/uplink"
)

// peer is a receiver that takes data from the queue.
type peer struct {
	target config.Target
	up     *uplink.Uplink
}

func (p *peer) run(ctx context.Context) error { return p.up.Run(ctx) }

// newPeer makes the connection to a target, which takes what waits at its cursor.
func (s *sender) newPeer(t config.Target) (destination, error) {
	cur, err := s.queue.Cursor(t.Name)
	if err != nil {
		return nil, err
	}
	up, err := uplink.New(uplinkOptions(t, s, cur, s.instance))
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", t.Name, err)
	}
	return &peer{t, up}, nil
}

// newLocal makes an output of this machine, which takes what waits at its cursor.
func (s *sender) newLocal(c config.Output) (destination, error) {
	cur, err := s.queue.Cursor(c.Name)
	if err != nil {
		return nil, err
	}
	if c.Type == "plugin" {
		return s.newPlugin(c, cur)
	}
	return &local{s: s, cfg: c, cur: cur}, nil
}

// openDestinations makes all that takes data from the queue.
func (s *sender) openDestinations(cfg *config.Sender) (map[string]destination, error) {
	all := map[string]destination{}
	for _, t := range cfg.Targets {
		d, err := s.newPeer(t)
		if err != nil {
			return nil, err
		}
		all[t.Name] = d
	}
	for _, o := range cfg.Outputs {
		d, err := s.newLocal(o)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", o.Name, err)
		}
		all[o.Name] = d
	}
	return all, nil
}
