package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Role is which of the two configurations is meant.
type Role string

// The roles.
const (
	RoleSender   Role = "sender"
	RoleReceiver Role = "receiver"
)

// DefaultFile is where a role's configuration lies.
func DefaultFile(r Role) string { return "/etc/ftfuse/" + string(r) + ".yaml" }

// Locate decides what to read: file if given, else FTFUSE_CONFIG_JSON or FTFUSE_CONFIG, else the default place.
func Locate(role Role, file string, environ []string) (Sources, error) {
	src := Sources{File: file, Environ: environ}
	if file != "" {
		return src, nil
	}
	path, text := lookup(environ, "FTFUSE_CONFIG"), lookup(environ, "FTFUSE_CONFIG_JSON")
	if path != "" && text != "" {
		return src, Problems{{
			Origin: Origin{Env: "FTFUSE_CONFIG"}, Text: "got this and FTFUSE_CONFIG_JSON, want one of them",
			Hint: "unset one",
		}}
	}
	src.File, src.Text = path, text
	if path == "" && text == "" {
		src.File = DefaultFile(role)
	}
	return src, nil
}

func lookup(environ []string, name string) string {
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// DropIns lists the drop-ins of file that exist, in the order in which they are read.
func DropIns(file string) []string {
	dir := strings.TrimSuffix(strings.TrimSuffix(file, ".yaml"), ".yml") + ".d"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // none, or the reading of the file itself says what is wrong
	}
	var out []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".yaml") && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(out)
	return out
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxText+1))
}

// readHint says what to do about a file that cannot be read, "" if nothing is known.
func readHint(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "run it as root, or as a user who may read the file"
	}
	return ""
}

// reason strips the operation and the path, which the message names already.
func reason(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
