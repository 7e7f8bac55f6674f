package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"ftfuse/internal/bugreport"
)

func newBugreport(t *terminal) *cobra.Command {
	var files []string
	var output string
	c := &cobra.Command{
		Use:   "bugreport [--output FILE]",
		Short: "pack what a maintainer needs to know, without secrets",
		Long: `Gather versions, configuration, status, units, the journal of our programs, and
limits of this machine into a tar.gz. Passwords, tokens, keys and certificates
are taken out, and nothing that was captured is in it. What cannot be had is
named in its README with the reason. Run it as root, or much will be missing.`,
		Example: `  ftfuse bugreport
  ftfuse bugreport --output /tmp/report.tar.gz && tar -tzf /tmp/report.tar.gz`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error { return writeBugreport(c.Context(), t, files, output) },
	}
	c.Flags().StringArrayVarP(&files, "config", "c", nil, "configuration `FILE`; may be given twice (default those in /etc/ftfuse)")
	c.Flags().StringVarP(&output, "output", "o", "", "write to `FILE`, which must not be there yet (default ftfuse-bugreport-HOST-TIME.tar.gz here)")
	return c
}

func writeBugreport(ctx context.Context, t *terminal, files []string, output string) error {
	now := time.Now()
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	name := fmt.Sprintf("ftfuse-bugreport-%s-%s", filepath.Base(host), now.UTC().Format("20060102T150405Z"))
	if output == "" {
		output = name + ".tar.gz"
	}
	f, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return exitError{fmt.Errorf("write bug report: %w", err), exitFailed, "name another file with --output"}
	}
	entries, err := bugreport.Write(ctx, f, name, now, reportParts(ctx, t, files))
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(output))
	}
	for _, e := range entries {
		if e.Size > 0 {
			fmt.Fprintf(t.out, "%-22s %9s  %s\n", e.Name, humanize.IBytes(uint64(e.Size)), e.What)
		}
	}
	for _, e := range entries {
		if e.Missing != "" {
			t.say("warning", yellow, e.Name+": "+e.Missing, "")
		}
	}
	fmt.Fprintf(t.out, "\nwritten to %s\nlook through it before you send it: tar -xzOf %s | less\n", output, output)
	return nil
}
