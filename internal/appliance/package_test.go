package appliance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// The packages that are tested, built from this tree: the one that machines get first, and the one that follows it.
const (
	older = "0.0.1"
	newer = "0.0.2"
)

// packages builds both versions, once for all tests.
var packages = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(here.dir, "dist")
	for _, version := range []string{older, newer} {
		c := exec.Command("make", "--no-print-directory", "package", "VERSION="+version)
		c.Dir = here.source
		c.Env = append(os.Environ(), "DIST="+dir, "ARCHES="+runtime.GOARCH)
		if out, err := c.CombinedOutput(); err != nil {
			return "", fmt.Errorf("make package VERSION=%s: %v: %s", version, err, out)
		}
	}
	return dir, nil
})

// bring copies the package of a family and a version to a machine and returns its name there.
func (m *machine) bring(family, version string) string {
	m.t.Helper()
	dir, err := packages()
	if err != nil {
		m.t.Fatal(err)
	}
	return m.copyOf(dir, "ftfuse*"+version+"*."+family)
}

func (m *machine) copyOf(dir, pattern string) string {
	m.t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		m.t.Fatalf("%s in %s: got %v, want one file", pattern, dir, found)
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		m.t.Fatal(err)
	}
	name := "/var/tmp/" + filepath.Base(found[0])
	m.put(name, string(b), 0o644)
	return name
}

// install installs a version of the package as an administrator does.
func (m *machine) install(version string) {
	m.t.Helper()
	m.run("DEBIAN_FRONTEND=noninteractive apt-get install -y -q " + m.bring("deb", version))
}

// writerProgram is testdata/writer.c, built once for all tests; static, so that it runs on every release.
var writerProgram = sync.OnceValues(func() ([]byte, error) {
	name := filepath.Join(here.dir, "writer")
	if out, err := exec.Command("gcc", "-O1", "-Wall", "-Werror", "-static", "-o", name, "testdata/writer.c").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("gcc: %v: %s", err, out)
	}
	return os.ReadFile(name)
})

// tools puts the writers of testdata on a machine.
func (m *machine) tools() {
	m.t.Helper()
	b, err := writerProgram()
	if err != nil {
		m.t.Fatal(err)
	}
	m.put("/usr/local/bin/writer", string(b), 0o755)
	for _, name := range []string{"log.py", "loop.sh", "web.py"} {
		m.put("/usr/local/bin/"+name, readFile(m.t, "testdata/"+name), 0o755)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
