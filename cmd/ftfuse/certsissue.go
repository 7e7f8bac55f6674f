package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ftfuse/internal/authority"
)

// issuing is what the command line of certs issue says.
type issuing struct {
	dir, out string
	days     int
	force    bool
}

func newCertsIssue(t *terminal) *cobra.Command {
	var o issuing
	c := &cobra.Command{
		Use:   "issue [OPTION...] NAME...",
		Short: "make a certificate and a key for a host",
		Long: `Make a certificate for a host, and its key: OUT/NAME.crt and OUT/NAME.key,
called by the first NAME, which is also who the host is to others. A NAME is a
DNS name, an IP address, or a URI. Senders look for the name or address of
their target; receivers let hosts send as their DNS names and the first labels
of those, unless peers in receiver.yaml says otherwise. It goes for senders and
receivers.

Copy both to the host, with ca.crt, and give the key to the group that ftfuse
runs as, out of others' sight:
install -m 0640 -g ftfuse NAME.key /etc/ftfuse/tls/`,
		Example: `  ftfuse certs issue web1.example.net --out web1
  ftfuse certs issue logs.example.net 192.0.2.7 --out logs --days 90
  ftfuse certs issue web1.example.net --out web1 --force     # renew`,
		Args: arguments(1, 100, "at least one NAME"),
		RunE: func(_ *cobra.Command, args []string) error { return o.run(t, args) },
	}
	f := c.Flags()
	f.StringVar(&o.dir, "dir", caDir, "`DIR` of the authority")
	f.StringVar(&o.out, "out", ".", "`DIR` to write to")
	f.IntVar(&o.days, "days", 365, "`DAYS` that the certificate is valid")
	f.BoolVar(&o.force, "force", false, "overwrite what is there")
	return c
}

func (o *issuing) run(t *terminal, names []string) error {
	if o.days < 1 || o.days > 3650 {
		return usageError{fmt.Errorf("--days: got %d, want 1 to 3650", o.days), "ftfuse certs issue"}
	}
	a, err := readAuthority(o.dir)
	if err != nil {
		return err
	}
	now := time.Now()
	text, err := a.Issue(names, now, now.Add(time.Duration(o.days)*24*time.Hour))
	if err != nil {
		return fmt.Errorf("certs %w", err)
	}
	base := filepath.Join(o.out, strings.NewReplacer("/", "_", ":", "_").Replace(names[0]))
	if err := placeAll("certs issue", o.force, placed{base + ".key", text.Key, 0o600}, placed{base + ".crt", text.Cert, 0o644}); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s\n%s\n", base+".crt", base+".key")
	return nil
}

func readAuthority(dir string) (*authority.Authority, error) {
	cert, key := authorityFiles(dir)
	c, err := os.ReadFile(cert)
	if os.IsNotExist(err) {
		return nil, exitError{fmt.Errorf("certs issue: %w", err), exitFailed, "make an authority with `ftfuse certs init`, or name its folder with --dir"}
	}
	if err != nil {
		return nil, fmt.Errorf("certs issue: %w", err)
	}
	k, err := os.ReadFile(key)
	if err != nil {
		return nil, fmt.Errorf("certs issue: %w", err)
	}
	a, err := authority.Parse(c, k)
	if err != nil {
		return nil, exitError{fmt.Errorf("certs issue: %s and %s: %w", cert, key, err), exitFailed, "want what `ftfuse certs init` made"}
	}
	return a, nil
}
