package systemd

import (
	"os/exec"
	"strings"
	"testing"
)

func TestMountUnit(t *testing.T) {
	paths := []string{"/", "/var/log/ftfuse", "/var//log/app/", "/srv/my-app/x_y.z", "/.hidden/.too", "/with blank/and\ttab", `/back\slash`,
		"/größe/日志", "/a:b@c%d+e", "/var/log/" + strings.Repeat("-", 70), "/" + strings.Repeat("x", 248)}
	for _, path := range paths {
		got, err := MountUnit(path)
		if strings.Contains(path, "\t") || strings.Count(path, "-") == 70 {
			if err == nil {
				t.Errorf("%q: got %q, want an error", path, got)
			}
			continue
		}
		want, fail := exec.Command("systemd-escape", "--path", "--suffix=mount", path).Output()
		if err != nil || fail != nil || got != strings.TrimSpace(string(want)) {
			t.Errorf("%q: got %q (%v), want what systemd-escape says: %q (%v)", path, got, err, want, fail)
		}
	}
}
