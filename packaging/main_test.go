package packaging

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The packages are built once, with a version and a time of their own.
const (
	version = "1.2.3~rc1+git4.0123456789"
	epoch   = "1700000000"
)

var shared struct {
	once     sync.Once
	deb, rpm string
	err      error
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ftfuse-packages")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared.deb, shared.rpm = packages(dir)
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// built returns the packages, which the first caller builds.
func built(t *testing.T) (deb, rpm string) {
	t.Helper()
	shared.once.Do(func() { shared.err = build("..", filepath.Dir(shared.deb)) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.deb, shared.rpm
}

func packages(dir string) (deb, rpm string) {
	return filepath.Join(dir, "ftfuse_"+version+"-1_amd64.deb"), filepath.Join(dir, "ftfuse-"+version+"-1.x86_64.rpm")
}

// build makes the packages of the tree in dist.
func build(tree, dist string, env ...string) error {
	c := exec.Command("scripts/package.sh", version)
	c.Dir = tree
	c.Env = append(os.Environ(), "ARCHES=amd64", "DIST="+dist, "SOURCE_DATE_EPOCH="+epoch, "COMMIT=0123456789ab")
	c.Env = append(c.Env, env...)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build packages: %w: %s", err, out)
	}
	return nil
}

// output runs a program and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %s%s", name, args, err, out, &errs)
	}
	return string(out)
}

// entry is one file of a package.
type entry struct {
	header *tar.Header
	data   []byte
}

// unpack reads the files of the .deb: by their paths, with a slash in front and none behind.
func unpack(t *testing.T, deb string) map[string]entry {
	t.Helper()
	files := map[string]entry{}
	r := tar.NewReader(strings.NewReader(output(t, "dpkg-deb", "--fsys-tarfile", deb)))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Join("/", h.Name)] = entry{h, data}
	}
	if len(files) < 30 {
		t.Fatalf("got %d files, want a package", len(files))
	}
	return files
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
