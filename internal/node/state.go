// Package node assembles a sender or a receiver from its configuration, opens its parts in order and closes them in reverse.
package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// lockState makes the state folder and keeps a second process out of it.
func lockState(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("open state folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open state folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("open state folder %s: another process uses it: %w", dir, err), f.Close())
	}
	return f, nil
}

// senderID returns the id kept in the state folder, made at the first start.
func senderID(dir string) (record.SenderID, error) {
	path := filepath.Join(dir, "id")
	b, err := os.ReadFile(path)
	if err == nil {
		id, err := record.ParseSenderID(string(b))
		if err != nil {
			return id, fmt.Errorf("read %s: %w; restore the file, or delete it to begin as a new sender", path, err)
		}
		return id, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return record.SenderID{}, fmt.Errorf("read sender id: %w", err)
	}
	var id record.SenderID
	rand.Read(id[:]) // never fails (crypto/rand)
	return id, writeSynced(path, id.String()+"\n")
}

func writeSynced(path, text string) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// thisMachine says where chunks come from.
func thisMachine(id record.SenderID, host string) (*record.Source, error) {
	if host == "" {
		h, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("read host name: %w; set host in the configuration", err)
		}
		host = h
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("read boot id: %w", err)
	}
	return &record.Source{Stream: record.Stream{Sender: id}, Host: host, BootID: strings.TrimSpace(string(boot))}, nil
}
