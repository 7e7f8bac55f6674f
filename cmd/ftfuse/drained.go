package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"

	"ftfuse/internal/control"
)

// errNotDrained is about data that is nowhere but on this machine.
var errNotDrained = errors.New("not everything that was captured is delivered")

// drained fails unless every byte that was captured is delivered, so that queue and spools can go. In doubt it fails.
func drained(spools string, s *control.QueueReport) error {
	queued := s.Queue.Bytes
	for _, f := range s.Flows {
		queued = max(queued, f.Queued.Bytes)
	}
	switch {
	case s.Damaged:
		return fmt.Errorf("%w: the queue is damaged", errNotDrained)
	case queued+s.Unseen > 0:
		return fmt.Errorf("%w: %s wait", errNotDrained, humanize.IBytes(queued+s.Unseen))
	case s.Live:
		return nil
	case s.Closed.IsZero():
		return fmt.Errorf("%w: the sender was not stopped in order; its next start finds what it had not seen", errNotDrained)
	}
	if spools == "" {
		return nil
	}
	return untouched(spools, s.Closed)
}

// untouched fails if something below dir was written after a time: programs that have files open go on when the sender
// has ended.
func untouched(dir string, closed time.Time) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.ModTime().After(closed) {
			return fmt.Errorf("%w: %s was written to after the sender had stopped; its next start delivers that", errNotDrained, path)
		}
		return nil
	})
}
