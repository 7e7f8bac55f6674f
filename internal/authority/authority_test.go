package authority

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func leafOf(t *testing.T, i Issued) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(i.Cert)
	if block == nil {
		t.Fatal("got no PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func authority(t *testing.T) *Authority {
	t.Helper()
	a, err := New("test", now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What is issued verifies for both uses and all its names, from its beginning to its end.
func TestIssuedVerifies(t *testing.T) {
	a := authority(t)
	text, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	if a, err = Parse(text.Cert, text.Key); err != nil {
		t.Fatal(err)
	}
	issued, err := a.Issue([]string{"Web1.example.net", "10.0.0.1", "::1", "spiffe://site/web"}, now, now.Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	leaf := leafOf(t, issued)
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate)
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		for _, at := range []time.Time{now, now.Add(23 * time.Hour)} {
			for _, name := range []string{"web1.example.net", "10.0.0.1", "::1"} {
				if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, DNSName: name, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now.Add(25 * time.Hour)}); err == nil {
		t.Error("it verifies after its end")
	}
	if len(leaf.URIs) != 1 || !slices.Equal(leaf.DNSNames, []string{"web1.example.net"}) || leaf.IsCA {
		t.Errorf("got URIs %v, DNS names %v, authority %v", leaf.URIs, leaf.DNSNames, leaf.IsCA)
	}
}

// Nothing outlives its authority, and what the authority signed cannot sign.
func TestBoundsOfIssued(t *testing.T) {
	a := authority(t)
	issued, err := a.Issue([]string{"a"}, now, now.Add(20*Lifetime))
	if err != nil {
		t.Fatal(err)
	}
	if leaf := leafOf(t, issued); !leaf.NotAfter.Equal(a.Certificate.NotAfter) {
		t.Errorf("ends on %v, want the authority's end %v", leaf.NotAfter, a.Certificate.NotAfter)
	}
	if _, err := a.Issue([]string{"a"}, now.Add(2*Lifetime), now.Add(3*Lifetime)); err == nil {
		t.Error("an authority that has expired issues")
	}
	if _, err := Parse(issued.Cert, issued.Key); err == nil || !strings.Contains(err.Error(), "want an authority's") {
		t.Errorf("a host's certificate counts as an authority: %v", err)
	}
	other := authority(t)
	mine, _ := a.PEM()
	theirs, _ := other.PEM()
	if _, err := Parse(mine.Cert, theirs.Key); err == nil {
		t.Error("another authority's key is taken")
	}
}

func TestBadNames(t *testing.T) {
	a := authority(t)
	for _, name := range []string{"", "a b", "-a", "a-", "a..b", ".a", "a/b", "*.example.net", "spiffe://", strings.Repeat("a", 64), "ä.example.net"} {
		if _, err := a.Issue([]string{name}, now, now.Add(time.Hour)); err == nil {
			t.Errorf("%q: got a certificate", name)
		}
	}
	if _, err := a.Issue(nil, now, now.Add(time.Hour)); err == nil {
		t.Error("no name: got a certificate")
	}
}
