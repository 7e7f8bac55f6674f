package plugin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
)

// Renderer makes text of chunks: what the child reads. It is used by one goroutine at a time.
type Renderer interface {
	// Append renders c behind dst. Between records it hands dst to spill, which may take the bytes and return an empty
	// slice. The same chunk always renders to the same bytes.
	Append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte
}

// Stdout is where the child's standard output goes.
type Stdout uint8

// The ways of standard output. Standard error always goes to the journal.
const (
	Journal Stdout = iota // a line, an entry
	File                  // appended to StdoutFile
	Records               // to Options.Records
	Discard               // to /dev/null
)

// Credential is whom the child runs as.
type Credential struct {
	UID, GID uint32
	Groups   []uint32 // all of its supplementary groups
}

// Options say what is run and how. Zero fields take the defaults given.
type Options struct {
	Name    string // of the output: for messages, FTFUSE_OUTPUT and the journal
	Backlog record.Backlog
	Store   record.Store    // of the backlog's extents
	Sender  record.SenderID // whose sequences the backlog counts as its own; see record.Backlog.Ack
	Render  Renderer        // nil: the payload's bytes as they are
	Cut     bool            // what Render makes of a chunk can be cut at any line: it is the payload, or lines of it
	Format  string          // for FTFUSE_FORMAT only; raw
	Objects bool            // the format has no lines (msgpack): acknowledgements count records

	Command     []string    // argument vector; the program by its path, or by its name in PATH
	Credential  *Credential // nil: as this process
	Directory   string      // working directory; /
	Environment []string    // NAME=VALUE, beside and above the fixed ones
	Host        string      // FTFUSE_HOST
	Memory      uint64      // bytes of address space (RLIMIT_AS); 0: as this process
	Files       uint64      // open files (RLIMIT_NOFILE); 0: as this process
	Self        string      // a program whose main calls ExecLimited, for limits; /proc/self/exe

	Ack    bool  // the child acknowledges on descriptor 3
	Window int64 // bytes given and not acknowledged, at most about; 8 MiB

	Stdout     Stdout
	StdoutFile string // absolute
	// Records gets whole lines of standard output, also the last one without its end. Lines over record.MaxChunk come in
	// pieces. It is called again, after a pause, with what it returned an error for. It must not keep lines.
	Records func(ctx context.Context, lines []byte) error

	Identifier string              // SYSLOG_IDENTIFIER; Name
	Fields     map[string][]string // more fields of its entries in the journal, with their values: FTFUSE_RULE, FTFUSE_MOUNT
	Socket     string              // of journald; the usual one
	Stderr     io.Writer           // where there is no journal; os.Stderr

	RestartMin, RestartMax time.Duration // bounds of the pause before a start; 100 ms, 1 minute
	StopTimeout            time.Duration // from the end of its input to SIGTERM; 10 s
	Logger                 *slog.Logger  // slog.Default
	Pulses                 *pulse.Group  // reading and rendering has one

	steady time.Duration // a life that lasts so long is no failure; 10 s
}

// What is done at once. maxBatch is also the size of the pipe, the most that an unprivileged process may ask for
// (fs.pipe-max-size, pipe(7)).
const (
	maxBatch  = 1 << 20
	minBatch  = 64 << 10
	fixedPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

var fieldName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)

func (o Options) filled() (Options, error) {
	if err := o.check(); err != nil {
		return o, err
	}
	setDefault(&o.Format, "raw")
	setDefault(&o.Directory, "/")
	setDefault(&o.Self, "/proc/self/exe")
	setDefault(&o.Identifier, o.Name)
	setDefault(&o.Window, 8<<20)
	setDefault(&o.RestartMin, 100*time.Millisecond)
	setDefault(&o.RestartMax, time.Minute)
	setDefault(&o.StopTimeout, 10*time.Second)
	setDefault(&o.steady, 10*time.Second)
	o.RestartMax = max(o.RestartMin, o.RestartMax)
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func (o *Options) check() error {
	switch {
	case o.Name == "" || strings.ContainsAny(o.Name, "\n\x00"):
		return fmt.Errorf("got the name %q, want one in a line", o.Name)
	case o.Backlog == nil || o.Store == nil:
		return fmt.Errorf("got no backlog or no store, want both")
	case len(o.Command) == 0 || o.Command[0] == "":
		return fmt.Errorf("got no command, want a program and its arguments")
	case strings.Contains(o.Command[0], "/") && !filepath.IsAbs(o.Command[0]):
		return fmt.Errorf("got the program %q, want an absolute path, or a name without /", o.Command[0])
	case o.Stdout == File && !filepath.IsAbs(o.StdoutFile):
		return fmt.Errorf("got %q for standard output, want an absolute path", o.StdoutFile)
	case o.Stdout == Records && o.Records == nil:
		return fmt.Errorf("got nobody who takes its records")
	case o.Stdout > Discard:
		return fmt.Errorf("got %d for standard output, want at most %d", o.Stdout, Discard)
	}
	for _, word := range append(o.Command[:len(o.Command):len(o.Command)], o.Environment...) {
		if strings.ContainsRune(word, 0) {
			return fmt.Errorf("got a NUL in %q", word)
		}
	}
	for _, e := range o.Environment {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return fmt.Errorf("got %q in the environment, want NAME=VALUE", e)
		}
	}
	for k := range o.Fields {
		if !fieldName.MatchString(k) {
			return fmt.Errorf("got the field %q, want capital letters, digits and _", k)
		}
	}
	return nil
}

// environ is the child's whole environment.
func (o *Options) environ() []string {
	env := []string{"PATH=" + fixedPath, "LANG=C.UTF-8", "FTFUSE_OUTPUT=" + o.Name, "FTFUSE_FORMAT=" + o.Format}
	if o.Host != "" {
		env = append(env, "FTFUSE_HOST="+o.Host)
	}
	if o.Ack {
		env = append(env, "FTFUSE_ACK=3")
	}
	at := map[string]int{}
	for i, e := range env {
		name, _, _ := strings.Cut(e, "=")
		at[name] = i
	}
	for _, e := range o.Environment {
		name, _, _ := strings.Cut(e, "=")
		if i, ok := at[name]; ok {
			env[i] = e
			continue
		}
		at[name] = len(env)
		env = append(env, e)
	}
	return env
}
