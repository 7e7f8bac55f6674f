package capture

import (
	"errors"
	"fmt"
	"os"

	"ftfuse/internal/record"
)

// Offline reads the spools of a sender that is stopped. It changes nothing.
type Offline struct{ dir string }

// OpenOffline looks at a spool folder.
func OpenOffline(dir string) (*Offline, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open spool folder: %w", err)
	}
	return &Offline{dir}, nil
}

// ReadExtent implements record.Store.
func (o *Offline) ReadExtent(e record.Extent, p []byte) error {
	for _, kind := range []string{"raw", "log"} {
		f, err := os.Open(spoolPath(o.dir, e.Spool, kind))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read spool: %w", err)
		}
		defer f.Close()
		off := e.Off
		if kind == "raw" {
			off += headerSize
		}
		if n, err := f.ReadAt(p, off); n < len(p) {
			return fmt.Errorf("read spool %s at %d: got %d of %d bytes: %w: %v", f.Name(), e.Off, n, len(p), record.ErrGone, err)
		}
		return nil
	}
	return fmt.Errorf("read spool %016x: %w", e.Spool, record.ErrGone)
}
