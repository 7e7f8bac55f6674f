package node

import (
	"os"

	"ftfuse/internal/capture"
	"ftfuse/internal/mount"
	"ftfuse/internal/record"
)

// captureOf fits the capture stage to one mount: it adds the mount's name to what is opened through it.
type captureOf struct {
	*capture.Capture
	mount string
}

func (c captureOf) File(key record.FileKey, path string, below func(flags int) (*os.File, error)) (mount.File, error) {
	f, err := c.Capture.File(key, path, below)
	if err != nil {
		return nil, err
	}
	return fileOf{f, c.mount}, nil
}

type fileOf struct {
	*capture.File
	mount string
}

func (f fileOf) OpenSpool(d record.Decision, path string, w *record.Writer) (mount.Spool, error) {
	s, err := f.File.OpenSpool(d, f.mount, path, w)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (f fileOf) AdoptSpool(id uint64) (mount.Spool, error) {
	s, err := f.File.AdoptSpool(id)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (f fileOf) AdoptLog(id uint64, d record.Decision, path string, w *record.Writer) (mount.Log, error) {
	l, err := f.File.AdoptLog(id, d, f.mount, path, w)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (f fileOf) OpenLog(d record.Decision, path string, w *record.Writer) (mount.Log, error) {
	l, err := f.File.OpenLog(d, f.mount, path, w)
	if err != nil {
		return nil, err
	}
	return l, nil
}
