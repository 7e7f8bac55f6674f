package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ftfuse/internal/config"
	"ftfuse/internal/k2hft"
)

// importing is what the command line of import says.
type importing struct {
	svr, json, out string
	force, print   bool
	k2hft.Options
}

func newImport(t *terminal) *cobra.Command {
	var o importing
	c := &cobra.Command{
		Use:   "import [OPTION...] [FILE]",
		Short: "write sender.yaml and receiver.yaml from K2HFTFUSE's configuration",
		Long: `Read a configuration of K2HFTFUSE, with the sections of k2hftfusesvr and chmpx,
as INI, YAML or JSON, and write sender.yaml and receiver.yaml that do the same.
Each value has a comment that says where it comes from. What is written passes
ftfuse check.

What could not be taken over as it was is said, with the reason: what works but
differs, what has no counterpart, and keys that nobody knows. Quoted patterns
are taken as they are documented, as the original's own readers break them.

Without FILE and --json the environment is asked as the original asks it:
K2HFTCONFFILE, K2HFTJSONCONF, K2HFTSVRCONFFILE, K2HFTSVRJSONCONF.`,
		Example: `  # what /etc/fstab and /etc/k2hftfuse.ini say, into /etc/ftfuse
  ftfuse import --mountpoint /mnt/logs --options allow_other,umask=022 \
    --svr /etc/k2hftfusesvr.ini --out /etc/ftfuse --force /etc/k2hftfuse.ini
  ftfuse check

  # look first
  ftfuse import --stdout k2hftfuse.yaml | less`,
		Args: arguments(0, 1, "at most one FILE"),
		RunE: func(_ *cobra.Command, args []string) error { return o.run(t, args) },
	}
	f := c.Flags()
	f.StringVar(&o.svr, "svr", "", "`FILE` of k2hftfusesvr, where it is another one")
	f.StringVar(&o.json, "json", "", "the configuration itself, as JSON `TEXT`, in the place of FILE")
	f.StringVar(&o.Mountpoint, "mountpoint", "", "the `DIR` that K2HFTFUSE was mounted on")
	f.StringVar(&o.MountOptions, "options", "", "`TEXT` behind -o of k2hftfuse, or its whole line of fstab")
	f.StringVar(&o.out, "out", ".", "`DIR` to write to")
	f.BoolVar(&o.force, "force", false, "overwrite what is there")
	f.BoolVar(&o.print, "stdout", false, "print the files instead, and the report to standard error")
	return c
}

func (o *importing) run(t *terminal, args []string) error {
	file := ""
	if len(args) > 0 {
		file = args[0]
	}
	if file != "" && o.json != "" {
		return usageError{errors.New("got FILE and --json, want one of them"), "ftfuse import"}
	}
	if file == "" && o.json == "" {
		file, o.json = t.getenv("K2HFTCONFFILE"), t.getenv("K2HFTJSONCONF")
	}
	svrText := ""
	if o.svr == "" {
		o.svr, svrText = t.getenv("K2HFTSVRCONFFILE"), t.getenv("K2HFTSVRJSONCONF")
	}
	o.Open = readSmall
	main, err := original(file, o.json)
	if err != nil {
		return err
	}
	svr, err := original(o.svr, svrText)
	if err != nil {
		return err
	}
	if main == nil {
		main, svr = svr, nil
	}
	if main == nil {
		return usageError{errors.New("got no configuration, want FILE or --json TEXT"), "ftfuse import"}
	}
	result, err := k2hft.Translate(main, svr, o.Options)
	if err == nil && result.Receiver != "" {
		_, _, err = readReceiver(config.Sources{Text: result.Receiver})
	}
	if err != nil {
		return exitError{fmt.Errorf("import: %w", err), exitConfig, ""}
	}
	return o.write(t, result)
}

// original reads one configuration of K2HFTFUSE, nil if none is named.
func original(file, text string) (*k2hft.Config, error) {
	name, content := file, []byte(text)
	switch {
	case file == "" && text == "":
		return nil, nil
	case file == "":
		name = "text.json"
	default:
		var err error
		if content, err = readSmall(file); err != nil {
			return nil, fmt.Errorf("import: %w", err)
		}
	}
	c, err := k2hft.Read(name, content, readSmall)
	if err != nil {
		return nil, exitError{fmt.Errorf("import: %w", err), exitConfig, "want what k2hftfuse reads: INI, YAML or JSON, by the end of the file's name"}
	}
	return c, nil
}

// readSmall reads a file, and no more of it than a configuration can have.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 8<<20))
}

// write writes or prints the files, and the report.
func (o *importing) write(t *terminal, result *k2hft.Result) error {
	files := []struct{ name, text string }{{"sender.yaml", result.Sender}, {"receiver.yaml", result.Receiver}}
	report := t.out
	written := ""
	for _, f := range files {
		if path := filepath.Join(o.out, f.name); f.text != "" && !o.print && !o.force {
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				return exitError{fmt.Errorf("import: %s is there already", path), exitFailed, "write elsewhere with --out DIR, or overwrite it with --force"}
			}
		}
	}
	for i, f := range files {
		switch path := filepath.Join(o.out, f.name); {
		case f.text == "":
		case o.print:
			report = t.err
			if i > 0 && files[0].text != "" {
				fmt.Fprintln(t.out, "---")
			}
			fmt.Fprint(t.out, f.text)
		default:
			if err := placeFile(path, f.text, 0o644, o.force); err != nil {
				return fmt.Errorf("import: %w", err)
			}
			written += " " + shellQuoted(path)
			fmt.Fprintln(t.out, path)
		}
	}
	if err := result.Report.Write(report); err != nil {
		return err
	}
	if written != "" {
		fmt.Fprintln(t.err, "hint: ftfuse check"+written)
	}
	return nil
}

// placeFile writes a file beside its place and then puts it there, so that nobody reads half of it. Without force it
// takes no other file's place, not even of one that has come just now.
func placeFile(path, text string, mode os.FileMode, force bool) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".ftfuse-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil && force {
		if err = os.Rename(f.Name(), path); err == nil {
			return nil
		}
	} else if err == nil {
		err = os.Link(f.Name(), path)
	}
	return errors.Join(err, os.Remove(f.Name()))
}
