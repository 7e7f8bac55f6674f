// Package secure opens TLS 1.3 on connections, each side of which proves by a certificate who it is.
//
// Both sides send a certificate and verify the other's: an authority in the file CA must have signed it, it must be valid
// now and for this use, and it must have a subject alternative name. Whoever dials also wants the name that it dialled among
// those names. The common name of a subject counts for nothing (RFC 9525, section 2). There are no older versions,
// no resumption and no early data: each connection proves everything anew.
package secure

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"time"
)

// Side is what a certificate is used for.
type Side uint8

// The sides.
const (
	Dials   Side = iota // a sender: it needs a certificate for TLS clients
	Listens             // a receiver: it needs a certificate for TLS servers
)

// Options name what one side needs: PEM files, which are read again at every Reload.
type Options struct {
	CA   string // certificates of the authorities that may have signed the other side's certificate
	Cert string // own certificate, and those between it and its authority, if any
	Key  string // private key of the own certificate; nobody but owner and group may read it
	Side Side
	Now  func() time.Time // [time.Now]
}

// Credentials are the certificates that are in force. They are safe for use by several goroutines.
type Credentials struct {
	o       Options
	inForce atomic.Pointer[material] // nil: nothing could be read yet
}

// New reads nothing: the first use does, or Reload.
func New(o Options) *Credentials {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Credentials{o: o}
}

// Stage reads the files, and returns what puts them in force, and whether that changes anything. Until use is called, and
// after an error, which is a *Mistake, what was in force stays in force.
func (c *Credentials) Stage() (use func(), changed bool, err error) {
	m, err := c.read()
	if err != nil {
		return nil, false, err
	}
	old := c.inForce.Load()
	return func() { c.inForce.Store(m) }, old == nil || old.sum != m.sum, nil
}

// Reload is Stage and use. Connections that are open stay as they are.
func (c *Credentials) Reload() (changed bool, err error) {
	use, changed, err := c.Stage()
	if err == nil {
		use()
	}
	return changed, err
}

// material returns what is in force, and reads the files if nothing is.
func (c *Credentials) material() (*material, error) {
	if m := c.inForce.Load(); m != nil {
		return m, nil
	}
	if _, err := c.Reload(); err != nil {
		return nil, err
	}
	return c.inForce.Load(), nil
}

// Own says who this side is and until when its certificate is valid; ok is false while nothing is in force.
func (c *Credentials) Own() (who Identity, expires time.Time, ok bool) {
	m := c.inForce.Load()
	if m == nil {
		return Identity{}, time.Time{}, false
	}
	return m.own, m.leaf.NotAfter, true
}

// File returns the path of the own certificate.
func (c *Credentials) File() string { return c.o.Cert }

// Doubt says what is odd about what is in force, "" if nothing is: the usual mix-up is a certificate of another authority than
// the one that the other side is held to.
func (c *Credentials) Doubt() string {
	m := c.inForce.Load()
	if m == nil || m.verify(m.pair.Leaf, m.between, c.o.Now(), x509.ExtKeyUsageAny) == nil {
		return ""
	}
	return fmt.Sprintf("%s: is signed by %q, which is not in %s: the other side needs an authority file of its own", c.o.Cert, m.leaf.Issuer, c.o.CA)
}

// material is what the three files said at one moment.
type material struct {
	sum         [32]byte // of the files
	pair        tls.Certificate
	leaf        *x509.Certificate
	between     *x509.CertPool // what came with the own certificate
	own         Identity
	authorities *x509.CertPool
	subjects    []string // of authorities
	listen      *tls.Config
}

func (m *material) verify(leaf *x509.Certificate, between *x509.CertPool, now time.Time, use x509.ExtKeyUsage) error {
	_, err := leaf.Verify(x509.VerifyOptions{Roots: m.authorities, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use}})
	return err
}

// server is the configuration of the side that listens.
func (m *material) server(now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Time: now, Certificates: []tls.Certificate{m.pair},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: m.authorities, SessionTicketsDisabled: true,
		VerifyConnection: named,
	}
}

// client is the configuration of the side that dials name.
func (m *material) client(name string, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Time: now, RootCAs: m.authorities, ServerName: name, VerifyConnection: named,
		// Also when the other side names other authorities: then it says what it thinks of this certificate.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &m.pair, nil },
	}
}

// named wants a certificate that says who its owner is.
func named(s tls.ConnectionState) error {
	if _, ok := IdentityOf(s.PeerCertificates[0]); !ok {
		return errNoName
	}
	return nil
}
