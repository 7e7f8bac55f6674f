package main

import (
	"cmp"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ftfuse/internal/authority"
)

func newCertsInit(t *terminal) *cobra.Command {
	var dir, name string
	var force bool
	c := &cobra.Command{
		Use:   "init [OPTION...]",
		Short: "make an authority that signs certificates",
		Long: `Make an authority, valid for ten years: DIR/ca.crt, which every host needs as
ca, and DIR/ca.key, with which certificates are issued. Who has the key can be
any host: keep it on one machine, best on none that is a sender or receiver, and
make a copy that is offline. It has mode 0600.`,
		Example: `  ftfuse certs init
  ftfuse certs init --dir ./ca --name 'logs of example.net'`,
		Args: arguments(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			host, _ := os.Hostname()
			a, err := authority.New(cmp.Or(name, "ftfuse authority of "+cmp.Or(host, "this host")), time.Now())
			if err != nil {
				return fmt.Errorf("certs init: %w", err)
			}
			text, err := a.PEM()
			if err != nil {
				return fmt.Errorf("certs init: %w", err)
			}
			cert, key := authorityFiles(dir)
			if err := placeAll("certs init", force, placed{key, text.Key, 0o600}, placed{cert, text.Cert, 0o644}); err != nil {
				return err
			}
			fmt.Fprintf(t.out, "%s\n%s\n", cert, key)
			fmt.Fprintln(t.err, "hint: ftfuse certs issue HOST --dir "+shellQuoted(dir))
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", caDir, "`DIR` to write to")
	c.Flags().StringVar(&name, "name", "", "`NAME` of the authority, for people")
	c.Flags().BoolVar(&force, "force", false, "overwrite an authority: what it has signed ends with it")
	return c
}
