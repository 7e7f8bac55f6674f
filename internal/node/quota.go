package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"ftfuse/internal/refine"
)

// quotaEvery is how often what quotas have counted is saved. A crash forgets at most so much of it.
const quotaEvery = 10 * time.Second

func (s *sender) quotaPath() string { return filepath.Join(s.cfg.StateDir, "quotas.json") }

// quotas is what the rules' limits have counted, by rule and place among the rule's limits.
func (r *ruling) quotas() map[string][]refine.Usage {
	all := map[string][]refine.Usage{}
	for name, rule := range r.byName {
		for i, l := range rule.Limits {
			if used := l.Used(); len(used) > 0 {
				all[name+"/"+strconv.Itoa(i)] = used
			}
		}
	}
	return all
}

func (s *sender) saveQuotas() error {
	all := s.ruling.Load().quotas()
	if len(all) == 0 {
		return nil
	}
	b, err := json.Marshal(all)
	if err != nil { // a map of numbers always encodes
		return err
	}
	return writeSynced(s.quotaPath(), string(b)+"\n")
}

// restoreQuotas goes on where the last process was. A file that does not read counts for nothing: quotas begin anew.
func (s *sender) restoreQuotas() error {
	b, err := os.ReadFile(s.quotaPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read quotas: %w", err)
	}
	var all map[string][]refine.Usage
	if err := json.Unmarshal(b, &all); err != nil {
		s.log.Warn("what quotas had counted cannot be read; they begin anew", "file", s.quotaPath(), "error", err)
		return nil
	}
	for name, rule := range s.ruling.Load().byName {
		for i, l := range rule.Limits {
			l.Restore(all[name+"/"+strconv.Itoa(i)], time.Now())
		}
	}
	return nil
}

// keepQuotas saves them now and then until ctx ends.
func (s *sender) keepQuotas(ctx context.Context) error {
	tick := time.NewTicker(quotaEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := s.saveQuotas(); err != nil {
				s.log.Warn("what quotas have counted cannot be saved", "error", err)
			}
		}
	}
}
