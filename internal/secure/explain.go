package secure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
)

// Cause says why a handshake failed.
type Cause uint8

// The causes.
const (
	Broken        Cause = iota // the connection ended, or the other side speaks another protocol
	Plaintext                  // the other side speaks without TLS
	NoCertificate              // the other side has none
	Untrusted                  // the other side's certificate was not accepted here
	Rejected                   // this side's certificate was not accepted there
	Late                       // nothing in time
)

// HandshakeError says what was expected of the other side, what came, and what to do.
type HandshakeError struct {
	Cause Cause
	Text  string
	err   error
}

func (e *HandshakeError) Error() string { return "TLS: " + e.Text }
func (e *HandshakeError) Unwrap() error { return e.err }

var errNoName = errors.New("has no subject alternative name, want a DNS name, a URI or an IP address")

// peer is what the other side is called in messages.
func (c *Conn) peer() string {
	if c.name == "" {
		return "sender"
	}
	return "receiver"
}

func (c *Conn) fail(cause Cause, err error, format string, args ...any) error {
	return &HandshakeError{cause, fmt.Sprintf(format, args...), err}
}

// explain says what a failed handshake means.
func (c *Conn) explain(err error) error {
	var header tls.RecordHeaderError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &header):
		return c.plaintext(header)
	case errors.As(err, &cert):
		return c.untrusted(cert.UnverifiedCertificates[0], cert.Err)
	case errors.Is(err, errNoName):
		return c.fail(Untrusted, err, "the %s's certificate %v; issue it anew with one", c.peer(), errNoName)
	case strings.Contains(err.Error(), "didn't provide a certificate"):
		return c.fail(NoCertificate, err, "the sender sent no certificate, want one signed by %s; give its target tls: {ca, cert, key}", c.authorities())
	case strings.Contains(err.Error(), "unsupported versions"):
		return c.fail(Broken, err, "the %s offers only versions before 1.3 (%v), want TLS 1.3", c.peer(), err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return c.fail(Late, err, "the %s did not shake hands in time", c.peer())
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return c.fail(Broken, err, "the %s closed the connection within the handshake; look at its log, and whether it has TLS at all", c.peer())
	}
	if said := c.explainAlert(err); said != err {
		return said
	}
	return c.fail(Broken, err, "handshake with the %s: %v", c.peer(), err)
}

func (c *Conn) plaintext(e tls.RecordHeaderError) error {
	if c.name == "" {
		return c.fail(Plaintext, e, "the peer speaks without TLS (its first bytes are %q), want TLS 1.3 with a certificate; give the sender's target tls: {ca, cert, key}", e.RecordHeader[:])
	}
	return c.fail(Plaintext, e, "the receiver speaks without TLS (its first bytes are %q), want TLS 1.3; give the receiver tls: {ca, cert, key}, or correct the target's address", e.RecordHeader[:])
}

// authorities names who may have signed the peer's certificate.
func (c *Conn) authorities() string {
	m, err := c.of.material()
	if err != nil {
		return c.of.o.CA
	}
	return fmt.Sprintf("%s (%s)", strings.Join(m.subjects[:min(len(m.subjects), 3)], " or "), c.of.o.CA)
}

// untrusted says why the certificate of the other side was not accepted.
func (c *Conn) untrusted(leaf *x509.Certificate, err error) error {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	what := fmt.Sprintf("the %s's certificate (%s)", c.peer(), Names(leaf))
	now := c.of.o.Now()
	switch {
	case errors.As(err, &unknown):
		return c.fail(Untrusted, err, "%s is signed by %q, want %s; issue it by that authority, or add the other one to that file", what, leaf.Issuer, c.authorities())
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && now.Before(leaf.NotBefore):
		return c.fail(Untrusted, err, "%s is valid from %s on, and it is %s here; set the clocks", what, day(leaf.NotBefore), day(now))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && now.After(leaf.NotAfter):
		return c.fail(Untrusted, err, "%s has expired on %s, and it is %s here; renew it there and reload", what, day(leaf.NotAfter), day(now))
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return c.fail(Untrusted, err, "%s is not for this use; issue it with the extended key usages clientAuth and serverAuth", what)
	case errors.As(err, &host):
		return c.fail(Untrusted, err, "%s has not the name %s that was dialled; set tls.server_name to one of its names, or issue it for %s", what, c.name, c.name)
	}
	return c.fail(Untrusted, err, "%s is not accepted: %v", what, err)
}

// alerts are what the other side may say of this side's certificate (RFC 8446, section 6.2), in the words of crypto/tls.
var alerts = []struct{ word, means string }{
	{"unknown certificate authority", "does not know the authority that signed it; its ca must have that authority"},
	{"expired certificate", "says that it has expired or is not valid yet; renew it and reload, or set the clocks"},
	{"certificate required", "wants one; give the target tls: {ca, cert, key}"},
	{"unsupported certificate", "says that it is not for this use; issue it anew"},
	{"bad certificate", "does not accept it; its log says why"},
	{"unknown certificate", "does not accept it; its log says why"},
}

// explainAlert says what an alert of the other side means; any other error stays as it is.
func (c *Conn) explainAlert(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return err
	}
	for _, a := range alerts {
		if !strings.HasSuffix(op.Err.Error(), a.word) {
			continue
		}
		own := "this side's certificate"
		if who, _, ok := c.of.Own(); ok {
			own = fmt.Sprintf("the certificate %s (%s)", c.of.o.Cert, who.Name)
		}
		return c.fail(Rejected, err, "%s was refused: the %s %s", own, c.peer(), a.means)
	}
	return c.fail(Broken, err, "the %s ended TLS: %v", c.peer(), op.Err)
}
