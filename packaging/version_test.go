package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestVersions lets a small history grow, and wants dpkg and rpm to find each version newer than the one before.
func TestVersions(t *testing.T) {
	tree := t.TempDir()
	if err := os.Mkdir(filepath.Join(tree, "scripts"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(tree, "scripts/version.sh")
	if err := os.WriteFile(script, []byte(read(t, "../scripts/version.sh")), 0o755); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) {
		t.Helper()
		output(t, "git", append([]string{"-C", tree, "-c", "user.name=t", "-c", "user.email=t@t.invalid", "-c", "commit.gpgsign=false"}, args...)...)
	}
	commit := func() { t.Helper(); git("commit", "-q", "--allow-empty", "-m", "more") }
	git("init", "-q")
	git("add", ".")
	var versions []string
	note := func(want string) {
		t.Helper()
		got := strings.TrimSpace(output(t, script))
		if !strings.HasPrefix(got, want) || strings.ContainsAny(got, "- \n") {
			t.Errorf("got %q, want %s... without a dash", got, want)
		}
		versions = append(versions, got)
	}
	commit()
	note("0.0.0~git1.")
	for range 9 {
		commit()
	}
	note("0.0.0~git10.")
	git("tag", "v0.9.0-rc.1")
	note("0.9.0~rc.1")
	commit()
	note("0.9.0~rc.1+git1.")
	git("tag", "v0.9.0-rc.2")
	note("0.9.0~rc.2")
	commit()
	git("tag", "v0.9.0")
	note("0.9.0")
	commit()
	note("0.9.0+git1.")
	if err := os.WriteFile(script, []byte(read(t, script)+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	note(versions[len(versions)-1] + ".dirty")
	git("commit", "-q", "-a", "-m", "more")
	note("0.9.0+git2.")
	git("tag", "v0.10.0")
	note("0.10.0")

	for i := 1; i < len(versions); i++ {
		older, newer := versions[i-1], versions[i]
		if out, err := exec.Command("dpkg", "--compare-versions", older+"-1", "lt", newer+"-1").CombinedOutput(); err != nil {
			t.Errorf("dpkg: %s is not older than %s (%v) %s", older, newer, err, out)
		}
		if got := strings.TrimSpace(output(t, "rpm", "--eval", `%{lua: print(rpm.vercmp("`+older+`", "`+newer+`"))}`)); got != "-1" {
			t.Errorf("rpm: %s is not older than %s: got %s", older, newer, got)
		}
	}
}
