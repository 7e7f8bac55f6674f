package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ftfuse/internal/config"
	"ftfuse/internal/ingest"
	"ftfuse/internal/rules"
)

// allowances compiles what peers may do.
func allowances(list []config.Peer) (all []ingest.Allowance, err error) {
	for _, p := range list {
		a := ingest.Allowance{Name: p.Name, Identity: identities(p.Identity), Deny: p.Deny, Relay: p.Relay, Connections: p.Connections,
			Rate: int64(p.Bytes), Quota: int64(p.Quota.Bytes), Every: p.Quota.Every}
		if len(p.Hosts) > 0 {
			a.Hosts = func(host string) bool { return anyGlob(p.Hosts, host) }
		}
		if len(p.Paths) > 0 {
			if a.Paths, err = anyPath(p.Paths); err != nil {
				return nil, fmt.Errorf("peer %s: paths: %w", p.Name, err)
			}
		}
		all = append(all, a)
	}
	return all, nil
}

// identities returns what matches any of the patterns: of names, whose case does not matter, or networks of addresses.
func identities(patterns []string) func(string) bool {
	var globs []string
	var nets []netip.Prefix
	for _, p := range patterns {
		if n, err := netip.ParsePrefix(p); err == nil {
			nets = append(nets, n.Masked())
			continue
		}
		globs = append(globs, strings.ToLower(p))
	}
	return func(name string) bool {
		if addr, err := netip.ParseAddr(name); err == nil {
			for _, n := range nets {
				if n.Contains(addr) {
					return true
				}
			}
		}
		return anyGlob(globs, strings.ToLower(name))
	}
}

func anyGlob(globs []string, name string) bool { return len(globs) > 0 && forHost(globs, name) }

func anyPath(patterns []string) (func(string) bool, error) {
	var all []func(string) bool
	for _, p := range patterns {
		match, err := rules.Pattern(p)
		if err != nil {
			return nil, err
		}
		all = append(all, match)
	}
	return func(name string) bool {
		for _, match := range all {
			if match(name) {
				return true
			}
		}
		return false
	}, nil
}

func (r *receiver) usagePath() string { return filepath.Join(r.cfg.StateDir, "peers.json") }

// restoreUsage goes on with quotas where the last process was. A file that does not read counts for nothing: they begin anew.
func (r *receiver) restoreUsage() error {
	b, err := os.ReadFile(r.usagePath())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read quotas of peers: %w", err)
	}
	var all map[string]ingest.Usage
	if err := json.Unmarshal(b, &all); err != nil {
		r.log.Warn("what quotas of peers had counted cannot be read; they begin anew", "file", r.usagePath(), "error", err)
		return nil
	}
	r.ingest.Restore(all)
	return nil
}

func (r *receiver) saveUsage() error {
	all := r.ingest.Usage()
	if len(all) == 0 {
		return nil
	}
	b, err := json.Marshal(all)
	if err != nil { // a map of numbers always encodes
		return err
	}
	return writeSynced(r.usagePath(), string(b)+"\n")
}

// keepPeers saves what quotas have counted now and then, and lets those go on whose quota has begun anew, until ctx ends.
func (r *receiver) keepPeers(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	saved := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			r.ingest.Regrant()
			if now.Sub(saved) < quotaEvery {
				continue
			}
			saved = now
			if err := r.saveUsage(); err != nil {
				r.log.Warn("what quotas of peers have counted cannot be saved", "error", err)
			}
		}
	}
}
