package node

import (
	"context"
	"fmt"
	"net"
	"sync"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/secure"
)

// tunnel is how a target is reached: by TLS, or as it is.
type tunnel struct {
	files config.TLS
	creds *secure.Credentials // nil: without TLS
}

func newTunnel(files config.TLS) *tunnel {
	if !files.On() {
		return &tunnel{files: files}
	}
	return &tunnel{files: files, creds: credentials(files, secure.Dials)}
}

func credentials(files config.TLS, side secure.Side) *secure.Credentials {
	return secure.New(secure.Options{CA: files.CA, Cert: files.Cert, Key: files.Key, Side: side})
}

// tunnels are those of a sender's targets, by name.
type tunnels struct {
	mu     sync.Mutex // guards byName
	byName map[string]*tunnel
}

// of returns the tunnel of a target, and makes it if there is none yet.
func (s *tunnels) of(t config.Target) *tunnel {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.byName[t.Name]
	if v == nil {
		v = newTunnel(t.TLS.Files())
		if s.byName == nil {
			s.byName = map[string]*tunnel{}
		}
		s.byName[t.Name] = v
	}
	return v
}

// dial connects to a receiver of target t: at address, whose certificate has to have the name that t says, or else host.
func (s *tunnels) dial(ctx context.Context, t config.Target, network, address, host string) (net.Conn, error) {
	var d net.Dialer
	v := s.of(t)
	nc, err := d.DialContext(ctx, network, address)
	if err != nil || v.creds == nil {
		return nc, err
	}
	if t.TLS.ServerName != "" {
		host = t.TLS.ServerName
	}
	c, err := v.creds.Client(ctx, nc, host)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// stage reads the certificates of all targets again, before anything is changed. use puts them in force; said are those that
// differ from what was.
func (s *tunnels) stage(targets []config.Target) (use func(), said []string, err error) {
	next := map[string]*tunnel{}
	var uses []func()
	for _, t := range targets {
		v := s.of(t)
		if v.files != t.TLS.Files() {
			v = newTunnel(t.TLS.Files())
		}
		next[t.Name] = v
		if v.creds == nil {
			continue
		}
		use, changed, err := v.creds.Stage()
		if err != nil {
			return nil, nil, fmt.Errorf("target %s: tls: %w", t.Name, err)
		}
		uses = append(uses, use)
		if changed {
			said = append(said, "certificates of target "+t.Name+" re-read")
		}
	}
	return func() {
		for _, use := range uses {
			use()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.byName = next
	}, said, nil
}

func (s *sender) certificates() []control.Certificate {
	return s.tunnels.certificates(s.ruling.Load().cfg.Targets)
}

// certificates says what the own certificates are, of targets in the order of the configuration.
func (s *tunnels) certificates(targets []config.Target) (list []control.Certificate) {
	for _, t := range targets {
		if c, ok := certificate(s.of(t).creds); ok {
			c.Target = t.Name
			list = append(list, c)
		}
	}
	return list
}

// certificate describes an own certificate; ok is false where there is none in force.
func certificate(creds *secure.Credentials) (c control.Certificate, ok bool) {
	if creds == nil {
		return c, false
	}
	who, expires, ok := creds.Own()
	return control.Certificate{File: creds.File(), Identity: who.Name, Expires: expires}, ok
}
