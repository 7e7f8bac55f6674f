package ingest

import (
	"context"
	"net"
	"net/netip"

	"ftfuse/internal/wire"
)

// Identity is who a peer is.
type Identity struct {
	Name    string       // what its certificate says; without TLS its address, or unix
	Secure  bool         // by TLS and a certificate
	Hosts   []string     // names that it goes by; nil: it may go by any
	Recheck func() error // nil while its certificate is as good as it was; no function: there is none
}

// Plain is the identity of a peer without TLS: where it comes from.
func Plain(a net.Addr) Identity {
	if ap, err := netip.ParseAddrPort(a.String()); err == nil {
		return Identity{Name: ap.Addr().Unmap().WithZone("").String()}
	}
	return Identity{Name: a.Network()}
}

// Refused makes an error of Options.Secure, which is counted under reason. Only a peer without TLS can be told why.
func Refused(reason Reason, text string) error {
	r := refuse(reason, wire.Denied, 0, "%s", text)
	r.mute = reason != Plaintext
	return r
}

// identify finds out who the peer is, and opens TLS. run calls it before anything else.
func (c *conn) identify(ctx context.Context) error {
	if c.s.o.Secure == nil {
		c.who = Plain(c.nc.RemoteAddr())
		return nil
	}
	nc, who, err := c.s.o.Secure(ctx, c.nc)
	if c.reading.Err() != nil {
		return context.Cause(c.reading)
	}
	if err != nil {
		return err
	}
	c.deadlines.Lock() // an interrupt uses nc
	c.nc = nc
	c.deadlines.Unlock()
	c.br.Reset(nc)
	c.who = who
	return nil
}
