package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// caDir is where `certs init` puts an authority unless told otherwise.
const caDir = "/etc/ftfuse/ca"

func newCerts(t *terminal) *cobra.Command {
	return family(&cobra.Command{
		Use:   "certs",
		Short: "make the certificates by which hosts know each other",
		Long: `Make a small certificate authority of one's own, and by it a certificate for
each host, for those who have no authority yet. Certificates of any other
authority do as well: PEM files, with names as subject alternative names.`,
		Example: `  ftfuse certs init --name 'logs of example.net'
  ftfuse certs issue web1.example.net --out web1
  ftfuse certs show web1/web1.example.net.crt`,
	}, newCertsInit(t), newCertsIssue(t), newCertsShow(t))
}

// placed is a file to write.
type placed struct {
	path string
	text []byte
	mode os.FileMode
}

// placeAll writes files, none of them if one is there already and may not be overwritten.
func placeAll(command string, force bool, files ...placed) error {
	for _, f := range files {
		if _, err := os.Lstat(f.path); !force && !errors.Is(err, fs.ErrNotExist) {
			return exitError{fmt.Errorf("%s: %s is there already", command, f.path), exitFailed, "write elsewhere, or overwrite it with --force"}
		}
	}
	for _, f := range files {
		if err := placeFile(f.path, string(f.text), f.mode, force); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
	}
	return nil
}

func authorityFiles(dir string) (cert, key string) {
	return filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
}
