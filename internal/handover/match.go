package handover

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Place is what the configuration says of a mount.
type Place struct {
	Dir       string
	OwnerOnly bool
}

// Match says by a *Refusal why a request fits no mount of a configuration, by their names. file is the
// configuration's, for people.
func Match(r Request, configured map[string]Place, file string) error {
	place, ok := configured[r.Name]
	if !ok {
		names := slices.Sorted(maps.Keys(configured))
		text := fmt.Sprintf("%s has no mount %q, nor any other", file, r.Name)
		if len(names) > 0 {
			text = fmt.Sprintf("%s has no mount %q, it has %s", file, r.Name, strings.Join(names, ", "))
		}
		return &Refusal{text, fmt.Sprintf("add `- {name: %s, path: %s}` to `mounts` and restart ftfuse-sender", r.Name, r.Dir)}
	}
	if !samePath(place.Dir, r.Dir) {
		return &Refusal{fmt.Sprintf("mount %s belongs on %s by %s, not on %s", r.Name, place.Dir, file, r.Dir),
			"mount it on " + place.Dir + ", or change `path` and restart ftfuse-sender"}
	}
	if place.OwnerOnly && !r.OwnerOnly {
		return &Refusal{fmt.Sprintf("mount %s is not for all users by %s (`allow_other: false`)", r.Name, file), "add the mount option owner_only"}
	}
	return nil
}

// samePath reports whether a configured path leads to a resolved one. What the last name stands for is looked at
// only as a link: if it is a mount, nobody may answer.
func samePath(configured, resolved string) bool {
	configured = filepath.Clean(configured)
	if configured == resolved {
		return true
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(configured))
	if err != nil {
		return false
	}
	last := filepath.Join(dir, filepath.Base(configured))
	if last == resolved {
		return true
	}
	if to, err := os.Readlink(last); err == nil {
		if !filepath.IsAbs(to) {
			to = filepath.Join(dir, to)
		}
		if real, err := filepath.EvalSymlinks(filepath.Dir(to)); err == nil {
			return filepath.Join(real, filepath.Base(to)) == resolved
		}
	}
	return false
}
