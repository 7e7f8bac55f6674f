package packaging

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestLint wants lintian and rpmlint to find nothing.
func TestLint(t *testing.T) {
	deb, rpm := built(t)
	out, err := exec.Command("lintian", "--allow-root", "--tag-display-limit", "0", "--fail-on", "error,warning", deb).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v: %s", err, out)
	}
	out, err = exec.Command("rpmlint", "-c", "rpm/rpmlint.toml", rpm).CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 0 errors, 0 warnings") {
		t.Errorf("rpmlint: %v: %s", err, out)
	}
}

var unitName = regexp.MustCompile(`\b(?:ftfuse-[a-z-]+\.(?:service|socket)|var-log-[a-z]+\.mount)\b`)

// TestUnits wants the scripts to name units that are there, each where it has to be named.
func TestUnits(t *testing.T) {
	deb, _ := built(t)
	units, installable, active := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for path, e := range unpack(t, deb) {
		name := filepath.Base(path)
		if filepath.Dir(path) != "/usr/lib/systemd/system" || e.header.Name == "" || !unitName.MatchString(name) {
			continue
		}
		units[name] = true
		if strings.Contains(string(e.data), "\n[Install]\n") {
			installable[name] = true
		}
		if !strings.HasSuffix(name, ".mount") {
			active[name] = true
		}
		// A unit that another one starts has to be there, too.
		for _, other := range unitName.FindAllString(string(e.data), -1) {
			if _, err := os.Stat(filepath.Join("../systemd", other)); err != nil {
				t.Errorf("%s names %s: %v", name, other, err)
			}
		}
	}
	sources, err := filepath.Glob("../systemd/*.[sm]o*") // sockets and mounts
	services, err2 := filepath.Glob("../systemd/*.service")
	if sources = append(sources, services...); err != nil || err2 != nil || len(sources) != len(units) || len(units) < 9 {
		t.Errorf("got %d units in the package, want all %d of systemd/ (%v %v)", len(units), len(sources), err, err2)
	}
	for script, want := range map[string]map[string]bool{
		"deb/postinst": installable, "deb/postrm": installable, "deb/prerm": active,
		"rpm/post": installable, "rpm/preun": units,
	} {
		got := map[string]bool{}
		for _, name := range unitName.FindAllString(read(t, script), -1) {
			got[name] = true
		}
		for name := range want {
			if !got[name] {
				t.Errorf("%s does not name %s", script, name)
			}
		}
		for name := range got {
			if !units[name] {
				t.Errorf("%s names %s, want one of %q", script, name, slices.Sorted(maps.Keys(units)))
			}
		}
	}
	preset := read(t, "../systemd/50-ftfuse.preset")
	if strings.Contains(preset, "\nenable") {
		t.Error("the preset enables something")
	}
	for name := range installable {
		if !disabled(preset, name) {
			t.Errorf("the preset says nothing of %s", name)
		}
	}
}

// disabled reports whether a preset file disables a unit.
func disabled(preset, unit string) bool {
	for line := range strings.Lines(preset) {
		pattern, ok := strings.CutPrefix(strings.TrimSpace(line), "disable ")
		if match, err := filepath.Match(pattern, unit); ok && err == nil && match {
			return true
		}
	}
	return false
}

// TestManualPages renders the pages as a reader's machine does, and wants every command in them.
func TestManualPages(t *testing.T) {
	deb, _ := built(t)
	found := 0
	for path, e := range unpack(t, deb) {
		if !strings.HasPrefix(path, "/usr/share/man/") || !e.header.FileInfo().Mode().IsRegular() {
			continue
		}
		found++
		page := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(path), ".gz"))
		if err := os.WriteFile(page, []byte(gunzip(t, e.data)), 0o644); err != nil {
			t.Fatal(err)
		}
		man := exec.Command("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", page)
		man.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANROFFSEQ=", "MANWIDTH=80", "MANPAGER=cat", "GROFF_NO_SGR=1")
		var said strings.Builder
		man.Stderr = &said
		text, err := man.Output()
		if err != nil || said.Len() > 0 {
			t.Errorf("%s: %v: %s", path, err, &said)
		}
		name, _, _ := strings.Cut(filepath.Base(path), "."+path[len(path)-4:len(path)-3]+".gz")
		want := []string{"NAME", name + " - ", "SEE ALSO", "ftfuse " + version}
		switch name {
		case "ftfuse":
			want = append(want, "ftfuse queue status [--json", "ftfuse mount-unit [--fstab", "ftfuse reload [--role", "ftfuse tap [--path", "ftfuse ping [--count", "ftfuse send [--to", "ftfuse receive --stdout", "ftfuse top [--interval", "ftfuse import [", "/etc/ftfuse/receiver.yaml", "EXIT STATUS")
		case "ftfuse-sender.yaml":
			want = append(want, "queue.max_size (default 8GiB)", "rules.match (required)", "WHERE VALUES COME FROM")
		case "ftfuse-receiver.yaml":
			want = append(want, "outputs.rotate.keep (default 0)", "WHERE VALUES COME FROM")
		case "mount.ftfuse":
			want = append(want, "EXIT STATUS", "--repair", "socket=PATH", "32")
		}
		plain := regexp.MustCompile(".\b").ReplaceAllString(string(text), "")
		for _, w := range want {
			if !strings.Contains(plain, w) {
				t.Errorf("%s: got no %q in %s", path, w, plain)
			}
		}
	}
	if found != 4 {
		t.Errorf("got %d pages, want 4", found)
	}
}
