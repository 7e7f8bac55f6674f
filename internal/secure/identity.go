package secure

import (
	"crypto/x509"
	"path"
	"strings"
)

// Kind says what an identity is a name of.
type Kind uint8

// The kinds.
const (
	DNS Kind = iota
	URI
	IP
)

// Identity is who the owner of a certificate is: of its subject alternative names the first DNS name, else the first URI,
// else the first IP address. Its common name counts for nothing.
type Identity struct {
	Kind Kind
	Name string   // DNS names in lower case
	All  []string // every name of the certificate
}

func (i Identity) String() string { return i.Name }

// Hosts are the host names that the owner goes by: each DNS name and its first label; of a URI the last part of its path; an
// IP address as it is written.
func (i Identity) Hosts() []string {
	switch i.Kind {
	case URI:
		return []string{path.Base(i.Name)}
	case IP:
		return []string{i.Name}
	}
	var list []string
	for _, name := range i.All {
		first, _, _ := strings.Cut(name, ".")
		list = append(list, name, first)
	}
	return list
}

// IdentityOf returns who the owner of a certificate is; ok is false if it has no name that counts.
func IdentityOf(c *x509.Certificate) (i Identity, ok bool) {
	switch {
	case len(c.DNSNames) > 0:
		for _, name := range c.DNSNames {
			i.All = append(i.All, strings.ToLower(strings.TrimSuffix(name, ".")))
		}
		i.Kind = DNS
	case len(c.URIs) > 0:
		for _, u := range c.URIs {
			i.All = append(i.All, u.String())
		}
		i.Kind = URI
	case len(c.IPAddresses) > 0:
		for _, a := range c.IPAddresses {
			i.All = append(i.All, a.String())
		}
		i.Kind = IP
	default:
		return i, false
	}
	i.Name = i.All[0]
	return i, i.Name != ""
}

// Names lists every name of a certificate for people, or says that there is none.
func Names(c *x509.Certificate) string {
	list := append([]string(nil), c.DNSNames...)
	for _, u := range c.URIs {
		list = append(list, u.String())
	}
	for _, a := range c.IPAddresses {
		list = append(list, a.String())
	}
	if len(list) == 0 {
		return "no name"
	}
	return strings.Join(list, ", ")
}
