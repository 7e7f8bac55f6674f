package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/ingest"
	"ftfuse/internal/secure"
)

// door lets senders in: it opens TLS on what a receiver has accepted.
type door struct {
	creds atomic.Pointer[secure.Credentials] // nil: there is no TLS
	files config.TLS                         // of creds; guarded by receiver.reloading
}

// open reads the certificates. A receiver does not start without those that it is to have.
func (d *door) open(files config.TLS) error {
	if !files.On() {
		return nil
	}
	c := credentials(files, secure.Listens)
	if _, err := c.Reload(); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	d.creds.Store(c)
	d.files = files
	return nil
}

// option is what ingest needs; nil without TLS.
func (d *door) option() func(context.Context, net.Conn) (net.Conn, ingest.Identity, error) {
	if d.creds.Load() == nil {
		return nil
	}
	return d.secure
}

// reasons says what counts a failed handshake.
var reasons = map[secure.Cause]ingest.Reason{
	secure.Broken: ingest.BrokenTLS, secure.Plaintext: ingest.Plaintext, secure.NoCertificate: ingest.NoCertificate,
	secure.Untrusted: ingest.Untrusted, secure.Rejected: ingest.Untrusted, secure.Late: ingest.NoHello,
}

// secure opens TLS on nc, unless it is a unix socket.
func (d *door) secure(ctx context.Context, nc net.Conn) (net.Conn, ingest.Identity, error) {
	if nc.RemoteAddr().Network() == "unix" {
		return nc, ingest.Plain(nc.RemoteAddr()), nil
	}
	c, err := d.creds.Load().Server(ctx, nc)
	var failed *secure.HandshakeError
	switch {
	case errors.As(err, &failed):
		return nil, ingest.Identity{}, ingest.Refused(reasons[failed.Cause], err.Error())
	case err != nil:
		return nil, ingest.Identity{}, ingest.Refused(ingest.BrokenTLS, err.Error())
	}
	return c, ingest.Identity{Name: c.Peer.Name, Secure: true, Hosts: c.Peer.Hosts(),
		Recheck: func() error { return d.creds.Load().Recheck(c) }}, nil
}

// stage reads the certificates again, before anything is changed. Whether there is TLS at all cannot change here.
func (d *door) stage(files config.TLS) (use func(), said []string, err error) {
	if d.creds.Load() == nil {
		return func() {}, nil, nil
	}
	c := d.creds.Load()
	if files != d.files {
		c = credentials(files, secure.Listens)
	}
	put, changed, err := c.Stage()
	if err != nil {
		return nil, nil, fmt.Errorf("tls: %w", err)
	}
	if changed {
		said = append(said, "certificates re-read")
	}
	return func() {
		put()
		d.creds.Store(c)
		d.files = files
	}, said, nil
}

func (r *receiver) certificates() (list []control.Certificate) {
	if c, ok := certificate(r.door.creds.Load()); ok {
		list = append(list, c)
	}
	return append(list, r.tunnels.certificates(r.ruling.Load().cfg.Targets)...)
}

// reachable wants sockets that the service manager gave to keep to what the configuration says of open networks.
func reachable(list []net.Listener, cfg *config.Receiver) error {
	for _, l := range list {
		at, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil || at.Addr().IsLoopback() || cfg.TLS.On() || cfg.Insecure {
			continue
		}
		return fmt.Errorf("listen: %s is reached from other machines, and there is no tls: add tls: {ca, cert, key} to the configuration, or insecure: true where the network is trusted, "+
			"or give ListenStream= of the socket unit a loopback address: %w", l.Addr(), config.ErrInvalid)
	}
	return nil
}
