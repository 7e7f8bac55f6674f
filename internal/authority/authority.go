// Package authority is a small private certificate authority: it signs the certificates by which senders and receivers know each other.
//
// Keys are ECDSA P-256. A host's certificate goes for both ends of a connection (serverAuth and clientAuth), as a relay is
// both; its names are subject alternative names (RFC 5280, section 4.2.1.6). There are no revocation lists: who
// shall not be let in any more is denied by the receiver (`peers`), or all get certificates of a new authority.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Lifetime is how long an authority is valid: ten years.
const Lifetime = 3653 * 24 * time.Hour

// skew is how long before its making a certificate is valid: clocks differ.
const skew = time.Hour

// Authority can issue certificates.
type Authority struct {
	Certificate *x509.Certificate
	key         crypto.Signer
}

// Issued is a certificate with its key, both as PEM.
type Issued struct{ Cert, Key []byte }

// New makes an authority that is called name, valid from now on.
func New(name string, now time.Time) (*Authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-skew), NotAfter: now.Add(Lifetime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	c, err := x509.ParseCertificate(der)
	return &Authority{c, key}, err
}

// Parse reads what PEM writes.
func Parse(cert, key []byte) (*Authority, error) {
	c, _ := pem.Decode(cert)
	k, _ := pem.Decode(key)
	if c == nil || k == nil {
		return nil, errors.New("got no PEM, want a certificate and a private key")
	}
	leaf, err := x509.ParseCertificate(c.Bytes)
	if err != nil {
		return nil, err
	}
	any, err := x509.ParsePKCS8PrivateKey(k.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := any.(crypto.Signer)
	switch {
	case !ok:
		return nil, fmt.Errorf("got a key of type %T, want one that signs", any)
	case !leaf.IsCA:
		return nil, fmt.Errorf("got the certificate of %q, want an authority's", leaf.Subject)
	case !signer.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(leaf.PublicKey):
		return nil, errors.New("the key is not the one of the certificate")
	}
	return &Authority{leaf, signer}, nil
}

// PEM returns the authority's certificate, which everybody gets, and its key, which nobody does.
func (a *Authority) PEM() (Issued, error) { return encode(a.Certificate.Raw, a.key) }

// Issue makes a certificate and its key for names, valid from one time to the other, but no longer than the authority's own. A
// name is a DNS name, an IP address, or a URI.
func (a *Authority) Issue(names []string, from, until time.Time) (Issued, error) {
	t := &x509.Certificate{
		SerialNumber: serial(), NotBefore: from.Add(-skew), NotAfter: until,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if t.NotAfter.After(a.Certificate.NotAfter) {
		t.NotAfter = a.Certificate.NotAfter
	}
	if !from.Before(t.NotAfter) {
		return Issued{}, fmt.Errorf("issue: got a certificate that ends on %s before it begins: the authority is valid until %s", until.UTC().Format(time.DateOnly),
			a.Certificate.NotAfter.UTC().Format(time.DateOnly))
	}
	for _, name := range names {
		if err := addName(t, name); err != nil {
			return Issued{}, err
		}
	}
	if len(names) == 0 {
		return Issued{}, errors.New("issue: got no name, want at least one: a DNS name, an IP address or a URI")
	}
	if len(names[0]) <= 64 { // the bound of X.520; nobody looks at it
		t.Subject.CommonName = names[0]
	}
	key, err := newKey()
	if err != nil {
		return Issued{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.Certificate, key.Public(), a.key)
	if err != nil {
		return Issued{}, fmt.Errorf("issue: %w", err)
	}
	return encode(der, key)
}

// addName adds one subject alternative name.
func addName(t *x509.Certificate, name string) error {
	if ip, err := netip.ParseAddr(name); err == nil {
		t.IPAddresses = append(t.IPAddresses, net.IP(ip.Unmap().AsSlice()))
		return nil
	}
	if strings.Contains(name, "://") {
		u, err := url.Parse(name)
		if err != nil || u.Host == "" {
			return fmt.Errorf("issue: got name %q, want a URI with a host", name)
		}
		t.URIs = append(t.URIs, u)
		return nil
	}
	if !dnsName(name) {
		return fmt.Errorf("issue: got name %q, want a DNS name (letters, digits and - between dots), an IP address or a URI", name)
	}
	t.DNSNames = append(t.DNSNames, strings.ToLower(name))
	return nil
}

func dnsName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for _, label := range strings.Split(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
				return false
			}
		}
	}
	return true
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// serial is a positive number of 127 random bits (RFC 5280, section 4.1.2.2, allows 159).
func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails (crypto/rand)
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

func encode(der []byte, key crypto.Signer) (Issued, error) {
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Issued{}, fmt.Errorf("encode key: %w", err)
	}
	return Issued{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}),
	}, nil
}
