package secure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
)

// Conn is a connection after its handshake.
type Conn struct {
	*tls.Conn
	Peer Identity // who is at the other end

	of    *Credentials
	chain []*x509.Certificate // of the peer
	name  string              // that was dialled; "" on the side that listens
	out   []byte              // of WriteBuffers, which one goroutine calls at a time
}

// Client opens TLS on nc, a connection to a server called name, until ctx ends. nc belongs to the Conn, and is closed after an error.
func (c *Credentials) Client(ctx context.Context, nc net.Conn, name string) (*Conn, error) {
	m, err := c.material()
	if err != nil {
		nc.Close()
		return nil, err
	}
	if now := c.o.Now(); now.After(m.leaf.NotAfter) {
		nc.Close()
		return nil, &Mistake{Part: "cert", File: c.o.Cert, Text: "has expired on " + day(m.leaf.NotAfter), Hint: "issue a new one, and reload"}
	}
	tc := tls.Client(nc, m.client(name, c.o.Now))
	conn, err := c.shake(ctx, tc, name)
	if err != nil {
		nc.Close()
	}
	return conn, err
}

// Server opens TLS on nc, which was accepted, until ctx ends. After an error, which is a *HandshakeError unless the own
// files are wrong, nc is left open, so that what it said of it can arrive; only when ctx has ended nc is closed.
func (c *Credentials) Server(ctx context.Context, nc net.Conn) (*Conn, error) {
	m, err := c.material()
	if err != nil {
		return nil, err
	}
	return c.shake(ctx, tls.Server(nc, m.listen), "")
}

func (c *Credentials) shake(ctx context.Context, tc *tls.Conn, name string) (*Conn, error) {
	conn := &Conn{Conn: tc, of: c, name: name}
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, conn.explain(err)
	}
	conn.chain = tc.ConnectionState().PeerCertificates
	conn.Peer, _ = IdentityOf(conn.chain[0]) // named has seen to it
	return conn, nil
}

// Recheck verifies the certificate of conn's peer again, by what is in force now: an authority may have been taken out, and
// certificates expire.
func (c *Credentials) Recheck(conn *Conn) error {
	m, err := c.material()
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, b := range conn.chain[1:] {
		between.AddCert(b)
	}
	use := x509.ExtKeyUsageClientAuth
	if conn.name != "" {
		use = x509.ExtKeyUsageServerAuth
	}
	if err := m.verify(conn.chain[0], between, c.o.Now(), use); err != nil {
		return conn.untrusted(conn.chain[0], err)
	}
	return nil
}

// Read is Read of a TLS connection. With TLS 1.3 the side that dials learns here what the other thinks of its certificate.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		err = c.explainAlert(err)
	}
	return n, err
}

// WriteBuffers writes all of b in few records: single lines as buffers of their own would each become one, with a system call.
func (c *Conn) WriteBuffers(b net.Buffers) (int64, error) {
	const most = 64 << 10 // bytes gathered; larger buffers go as they are
	var total int64
	write := func(p []byte) error {
		n, err := c.Write(p)
		total += int64(n)
		return err
	}
	c.out = c.out[:0]
	for _, p := range b {
		if len(c.out)+len(p) > most && len(c.out) > 0 {
			if err := write(c.out); err != nil {
				return total, err
			}
			c.out = c.out[:0]
		}
		if len(p) > most {
			if err := write(p); err != nil {
				return total, err
			}
			continue
		}
		c.out = append(c.out, p...)
	}
	if len(c.out) == 0 {
		return total, nil
	}
	return total, write(c.out)
}
