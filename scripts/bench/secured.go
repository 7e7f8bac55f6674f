package main

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"ftfuse/internal/authority"
	"ftfuse/internal/secure"
)

// loopback is where the receiver is, which its certificate names.
const loopback = "127.0.0.1"

// certificates are a folder with those of a receiver and its senders, of one authority. Each sender has one of its own, as
// hosts have: the receiver needs no peers in its configuration then, and what it keeps by identity it keeps for each.
type certificates struct{ dir string }

// newCertificates makes those of n senders and a receiver below dir.
func newCertificates(dir string, n int) (*certificates, error) {
	c := &certificates{filepath.Join(dir, "tls")}
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		return nil, err
	}
	now := time.Now()
	a, err := authority.New("bench", now)
	if err != nil {
		return nil, err
	}
	text, err := a.PEM()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.path("ca.crt"), text.Cert, 0o600); err != nil {
		return nil, err
	}
	names := []string{loopback}
	for i := range n {
		names = append(names, hostName(i))
	}
	for _, name := range names {
		text, err := a.Issue([]string{name}, now, now.Add(24*time.Hour))
		if err != nil {
			return nil, err
		}
		if err := errors.Join(os.WriteFile(c.path(name+".crt"), text.Cert, 0o600), os.WriteFile(c.path(name+".key"), text.Key, 0o600)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *certificates) path(file string) string { return filepath.Join(c.dir, file) }

// of returns those of one sender.
func (c *certificates) of(name string) *secure.Credentials {
	return secure.New(secure.Options{CA: c.path("ca.crt"), Cert: c.path(name + ".crt"), Key: c.path(name + ".key"), Side: secure.Dials})
}

// receiver is what the receiver's configuration says of them.
func (c *certificates) receiver() string {
	return "tls: {ca: " + c.path("ca.crt") + ", cert: " + c.path(loopback+".crt") + ", key: " + c.path(loopback+".key") + "}\n"
}
