package main

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ftfuse/internal/secure"
)

func newCertsShow(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "say what is in a file of certificates",
		Long: `Say of each certificate in a PEM file who it is to others, by which names, who
signed it, and how long it is valid.`,
		Example: "  ftfuse certs show /etc/ftfuse/tls/host.crt",
		Args:    arguments(1, 1, "one FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("certs show: %w", err)
			}
			list, err := secure.Certificates(text)
			if err != nil {
				return fmt.Errorf("certs show: %s: %w", args[0], err)
			}
			for i, c := range list {
				if i > 0 {
					fmt.Fprintln(t.out)
				}
				showCertificate(t, c, time.Now())
			}
			return nil
		},
	}
}

func showCertificate(t *terminal, c *x509.Certificate, now time.Time) {
	line := func(key, format string, args ...any) {
		fmt.Fprintf(t.out, "%-12s %s\n", key+":", fmt.Sprintf(format, args...))
	}
	who, named := secure.IdentityOf(c)
	switch {
	case c.IsCA:
		line("authority", "%s", c.Subject)
	case named:
		line("identity", "%s", who.Name)
	default:
		line("identity", "none: it has no subject alternative name")
	}
	if all := secure.Names(c); named && !c.IsCA {
		line("names", "%s", all)
	}
	line("signed by", "%s", c.Issuer)
	left := int(c.NotAfter.Sub(now) / (24 * time.Hour))
	switch {
	case now.After(c.NotAfter):
		line("valid", "no: it has expired on %s", day(c.NotAfter))
	case now.Before(c.NotBefore):
		line("valid", "not before %s, until %s", day(c.NotBefore), day(c.NotAfter))
	default:
		line("valid", "until %s (%d days)", day(c.NotAfter), left)
	}
	if !c.IsCA {
		line("for", "%s", strings.Join(purposes(c), ", "))
	}
	line("sha256", "%x", sha256.Sum256(c.Raw))
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// purposes says what a certificate may be used for.
func purposes(c *x509.Certificate) (list []string) {
	for _, u := range c.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageServerAuth:
			list = append(list, "receivers")
		case x509.ExtKeyUsageClientAuth:
			list = append(list, "senders")
		case x509.ExtKeyUsageAny:
			list = append(list, "anything")
		}
	}
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 {
		return []string{"anything"}
	}
	if len(list) == 0 {
		return []string{"neither senders nor receivers"}
	}
	return list
}
