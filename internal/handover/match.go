package handover

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Match says by a *Refusal why a request names no mount of a configuration, which maps names to directories. file is the
// configuration's, for the hint.
func Match(r Request, configured map[string]string, file string) error {
	dir, ok := configured[r.Name]
	if !ok {
		names := make([]string, 0, len(configured))
		for name := range configured {
			names = append(names, name)
		}
		slices.Sort(names)
		text := fmt.Sprintf("%s has no mount %q", file, r.Name)
		if len(names) > 0 {
			return &Refusal{text + ", it has " + strings.Join(names, ", "), "use one of these names, or add `- {name: " + r.Name + ", path: " + r.Dir + "}` to `mounts` and restart ftfuse-sender"}
		}
		return &Refusal{text + ", nor any other", "add `- {name: " + r.Name + ", path: " + r.Dir + "}` to `mounts` and restart ftfuse-sender"}
	}
	if !samePath(dir, r.Dir) {
		return &Refusal{fmt.Sprintf("mount %s belongs on %s in %s, not on %s", r.Name, dir, file, r.Dir),
			"mount it on " + dir + ", or change `path` and restart ftfuse-sender"}
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
