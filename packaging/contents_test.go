package packaging

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestContents compares every path, mode and link of the .deb with what is written in testdata, and wants all to be root's
// and of one time.
func TestContents(t *testing.T) {
	deb, _ := built(t)
	files := unpack(t, deb)
	var got []string
	for path, e := range files {
		h := e.header
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "root" || h.Gname != "root" {
			t.Errorf("%s: owner %s:%s, want root", path, h.Uname, h.Gname)
		}
		if want := time.Unix(1700000000, 0); !h.ModTime.Equal(want) {
			t.Errorf("%s: time %s, want that of the commit, %s", path, h.ModTime, want)
		}
		if strings.HasPrefix(path, "/usr/share/doc/ftfuse/docs/") || h.Typeflag == tar.TypeDir && !strings.Contains(path, "ftfuse") {
			continue
		}
		if h.Typeflag == tar.TypeSymlink {
			got = append(got, "link "+path+" -> "+h.Linkname)
		} else {
			got = append(got, fmt.Sprintf("%04o %s", h.Mode, path))
		}
	}
	slices.SortFunc(got, func(a, b string) int { return strings.Compare(a[5:], b[5:]) })
	want := strings.Split(strings.TrimSpace(read(t, "testdata/contents.txt")), "\n")
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	docs, err := filepath.Glob("../docs/*.md")
	if err != nil || len(docs) < 5 {
		t.Fatalf("got %d documents (%v)", len(docs), err)
	}
	for _, doc := range docs {
		if _, ok := files["/usr/share/doc/ftfuse/docs/"+filepath.Base(doc)]; !ok {
			t.Errorf("%s is not in the package", doc)
		}
	}
}

// TestSameInBoth wants the .rpm to have the same files as the .deb, but for what each family has of its own.
func TestSameInBoth(t *testing.T) {
	deb, rpm := built(t)
	var debs, rpms []string
	own := []string{"/usr/share/doc/ftfuse/c", "/usr/share/doc/ftfuse/third", "/usr/share/licenses/", "/usr/share/lintian", "/usr/share/zsh"}
	foreign := func(path string) bool {
		return slices.ContainsFunc(own, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
	}
	for path, e := range unpack(t, deb) {
		mode := e.header.Mode & 0o777
		if e.header.Typeflag == tar.TypeSymlink { // whose mode means nothing
			mode = 0o777
		}
		if e.header.Typeflag != tar.TypeDir && !foreign(path) {
			debs = append(debs, fmt.Sprintf("%03o root root %s %s", mode, path, e.header.Linkname))
		}
	}
	for line := range strings.Lines(output(t, "rpm", "-qp", "--qf", `[%{FILEMODES:octal} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILENAMES} %{FILELINKTOS}\n]`, rpm)) {
		var mode uint32 // with the kind of file, as in stat(2)
		if _, err := fmt.Sscanf(line, "%o", &mode); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if mode&unix.S_IFMT == unix.S_IFLNK {
			mode |= 0o777
		}
		rest := strings.TrimRight(line[strings.IndexByte(line, ' '):], "\n")
		if mode&unix.S_IFMT != unix.S_IFDIR && !foreign(strings.Fields(rest)[2]) {
			rpms = append(rpms, fmt.Sprintf("%03o%s", mode&0o777, rest))
		}
	}
	slices.Sort(debs)
	slices.Sort(rpms)
	if a, b := strings.Join(debs, "\n"), strings.Join(rpms, "\n"); a != b {
		t.Errorf("the .deb has\n%s\nthe .rpm\n%s", a, b)
	}
}

// TestConfigurationStays wants the configuration, and nothing else, to be kept at upgrades if it was changed.
func TestConfigurationStays(t *testing.T) {
	deb, rpm := built(t)
	want := "/etc/ftfuse/receiver.yaml\n/etc/ftfuse/sender.yaml\n"
	lines := strings.Split(strings.TrimSpace(output(t, "dpkg-deb", "--info", deb, "conffiles")), "\n")
	slices.Sort(lines)
	if got := strings.Join(lines, "\n") + "\n"; got != want {
		t.Errorf("conffiles of the .deb: got %q, want %q", got, want)
	}
	// RPMFILE_CONFIG is 1, RPMFILE_NOREPLACE 16.
	for line := range strings.Lines(output(t, "rpm", "-qp", "--qf", `[%{FILEFLAGS} %{FILENAMES}\n]`, rpm)) {
		flags, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		isConfig := strings.HasPrefix(path, "/etc/ftfuse/") && strings.HasSuffix(path, ".yaml")
		if (flags == "17") != isConfig || !isConfig && flags == "1" {
			t.Errorf("%s: got flags %s, want config|noreplace for the configuration only", path, flags)
		}
	}
	for _, name := range []string{"sender.yaml", "receiver.yaml"} {
		if got := string(unpack(t, deb)["/etc/ftfuse/"+name].data); got != read(t, "../etc/"+name) {
			t.Errorf("%s is not the one of etc/", name)
		}
	}
}

// TestPrograms runs what is in the package.
func TestPrograms(t *testing.T) {
	deb, _ := built(t)
	files := unpack(t, deb)
	dir := t.TempDir()
	for _, path := range []string{"/usr/bin/ftfuse", "/usr/sbin/mount.ftfuse"} {
		program := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(program, files[path].data, 0o755); err != nil {
			t.Fatal(err)
		}
		if got := output(t, program, "--version"); !strings.Contains(got, version) {
			t.Errorf("%s --version: got %q, want version %s", path, got, version)
		}
	}
	for _, role := range []string{"sender", "receiver"} {
		file := filepath.Join(dir, role+".yaml")
		if err := os.WriteFile(file, files["/etc/ftfuse/"+role+".yaml"].data, 0o644); err != nil {
			t.Fatal(err)
		}
		output(t, filepath.Join(dir, "ftfuse"), "check", file)
	}
	out, err := exec.Command("bash", "-n", "-c", string(files["/usr/share/bash-completion/completions/ftfuse"].data)).CombinedOutput()
	if err != nil {
		t.Errorf("bash completion: %v: %s", err, out)
	}
	text := gunzip(t, files["/usr/share/doc/ftfuse/third-party-licenses.gz"].data)
	for _, mod := range []string{"github.com/hanwen/go-fuse/v2", "github.com/syndtr/goleveldb", "the Go standard library"} {
		if !strings.Contains(text, "\n==== "+mod) {
			t.Errorf("no license of %s", mod)
		}
	}
}

// TestReproducible builds the tree again: elsewhere, later, by somebody with other habits.
func TestReproducible(t *testing.T) {
	deb, rpm := built(t)
	tree := filepath.Join(t.TempDir(), "elsewhere")
	list := output(t, "git", "-C", "..", "ls-files", "--cached", "--others", "--exclude-standard")
	for name := range strings.Lines(list) {
		name = strings.TrimSpace(name)
		from, to := filepath.Join("..", name), filepath.Join(tree, name)
		info, err := os.Stat(from)
		if err != nil {
			continue // removed, and git has not been told
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(read(t, from)), info.Mode().Perm()&0o700); err != nil {
			t.Fatal(err)
		}
	}
	dist := t.TempDir()
	if err := build(tree, dist, "TZ=Pacific/Chatham", "LC_ALL=C.UTF-8"); err != nil {
		t.Fatal(err)
	}
	deb2, rpm2 := packages(dist)
	if read(t, deb) != read(t, deb2) {
		t.Errorf("two builds differ: %s", differ(t, deb, deb2))
	}
	if read(t, rpm) != read(t, rpm2) {
		t.Error("two builds of the .rpm differ")
	}
}

// differ names what is not the same in two packages.
func differ(t *testing.T, a, b string) (paths []string) {
	t.Helper()
	other := unpack(t, b)
	for path, e := range unpack(t, a) {
		if !bytes.Equal(e.data, other[path].data) || fmt.Sprint(e.header) != fmt.Sprint(other[path].header) {
			paths = append(paths, path)
		}
	}
	return append(paths, "or control files")
}

func gunzip(t *testing.T, data []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
