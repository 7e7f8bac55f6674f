package secure

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"
)

// foreign writes name.crt and name.key of a self-made certificate that ftfuse would not issue.
func (s *site) foreign(name string, template x509.Certificate) {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(7)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(day1)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	s.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}), 0o600)
}

// Each bad file gives an error that names it and says what to do; what was in force stays in force.
func TestBadFiles(t *testing.T) {
	good := func(s *site) { s.issue("web", 0, day1, "web1.example.net") }
	for name, test := range map[string]struct {
		spoil      func(s *site)
		part, file string
		says       []string
	}{
		"no certificate":      {func(s *site) { os.Remove(s.path("web.crt")) }, "cert", "web.crt", []string{"no such file", "ftfuse certs issue"}},
		"no authority":        {func(s *site) { os.Remove(s.path("ca.crt")) }, "ca", "ca.crt", []string{"no such file"}},
		"a directory":         {func(s *site) { os.Remove(s.path("web.key")); os.Mkdir(s.path("web.key"), 0o700) }, "key", "web.key", []string{"is a directory"}},
		"a key for everybody": {func(s *site) { os.Chmod(s.path("web.key"), 0o644) }, "key", "web.key", []string{"mode 0644", "chmod 0640"}},
		"a key of its group":  {func(s *site) { os.Chmod(s.path("web.key"), 0o660) }, "key", "web.key", []string{"mode 0660", "chmod 0640"}},
		"exchanged":           {func(s *site) { os.Remove(s.path("web.key")); os.Link(s.path("web.crt"), s.path("web.key")) }, "key", "web.key", []string{"has a certificate, want the private key", "exchanged?"}},
		"another key":         {func(s *site) { s.issue("b", 0, day1, "b"); os.Rename(s.path("b.key"), s.path("web.key")) }, "key", "web.key", []string{"does not go with", "web.crt", "private key does not match"}},
		"no key":              {func(s *site) { s.write("web.key", []byte("hello\n"), 0o600) }, "key", "web.key", []string{"no PEM block"}},
		"expired":             {func(s *site) { s.issue("web", -2*day1, day1, "web1.example.net") }, "cert", "web.crt", []string{"has expired on", "ftfuse certs issue web1.example.net"}},
		"too early":           {func(s *site) { s.issue("web", 2*day1, day1, "web1.example.net") }, "cert", "web.crt", []string{"is valid from", "set the clock"}},
		"no name":             {func(s *site) { s.foreign("web", x509.Certificate{Subject: pkix.Name{CommonName: "web1"}}) }, "cert", "web.crt", []string{"no subject alternative name", "common name does not count"}},
		"another use": {func(s *site) {
			s.foreign("web", x509.Certificate{DNSNames: []string{"a"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		}, "cert", "web.crt", []string{"not for TLS clients"}},
		"no PEM": {func(s *site) { s.write("web.crt", []byte("hello\n"), 0o644) }, "cert", "web.crt", []string{"no PEM certificate"}},
		"broken PEM": {func(s *site) {
			s.write("web.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), 0o644)
		}, "cert", "web.crt", []string{"certificate 1 cannot be read"}},
		"too long":         {func(s *site) { s.write("web.crt", make([]byte, maxFile+1), 0o644) }, "cert", "web.crt", []string{"more than"}},
		"not an authority": {func(s *site) { os.Link(s.path("web.crt"), s.path("x")); os.Rename(s.path("x"), s.path("ca.crt")) }, "ca", "ca.crt", []string{"web1.example.net", "is no authority"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			good(s)
			c := New(s.of("web", Dials))
			if changed, err := c.Reload(); err != nil || !changed {
				t.Fatal(changed, err)
			}
			before, expires, _ := c.Own()
			test.spoil(s)
			_, err := c.Reload()
			var m *Mistake
			if !errors.As(err, &m) || m.Part != test.part || m.File != s.path(test.file) || m.Hint == "" {
				t.Fatalf("got %v, want a mistake in %s, file %s", err, test.part, test.file)
			}
			for _, text := range test.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("got %q, want %q in it", err, text)
				}
			}
			if after, then, ok := c.Own(); !ok || after.Name != before.Name || !then.Equal(expires) {
				t.Error("what was in force does not stay in force")
			}
			if _, err := New(s.of("web", Dials)).material(); err == nil {
				t.Error("the first reading takes it")
			}
		})
	}
}

// An authority that has expired is refused where it is read.
func TestExpiredAuthority(t *testing.T) {
	s := newSite(t)
	s.issue("web", 0, day1, "web1.example.net")
	o := s.of("web", Dials)
	o.Now = func() time.Time { return time.Now().Add(20 * 366 * day1) }
	if _, err := New(o).Reload(); err == nil || !strings.Contains(err.Error(), "the authority CN=site of") || !strings.Contains(err.Error(), "has expired") {
		t.Errorf("got %v", err)
	}
}

// New files are in force for the next connection, and an authority that is gone lets nobody in, nor stay.
func TestReload(t *testing.T) {
	s := newSite(t)
	s.issue("web", 0, day1, "web1.example.net")
	s.issue("logs", 0, day1, "logs.example.net")
	client, server := New(s.of("web", Dials)), New(s.of("logs", Listens))
	_, first, _, atServer := pair(t, client, server, "logs.example.net")
	if atServer != nil {
		t.Fatal(atServer)
	}
	if changed, err := server.Reload(); err != nil || changed {
		t.Errorf("got changed %v, %v from the same files", changed, err)
	}
	s.issue("web", 0, day1, "web2.example.net")
	if changed, err := client.Reload(); err != nil || !changed {
		t.Fatal(changed, err)
	}
	_, second, _, atServer := pair(t, client, server, "logs.example.net")
	if atServer != nil || second.Peer.Name != "web2.example.net" || server.Recheck(first) != nil {
		t.Fatalf("got %v, peer %q; recheck of the first %v", atServer, second.Peer.Name, server.Recheck(first))
	}
	other := newSite(t)
	ca, _ := other.a.PEM()
	s.write("ca.crt", ca.Cert, 0o644)
	if _, err := server.Reload(); err != nil {
		t.Fatal(err)
	}
	says(t, "recheck", server.Recheck(second), Untrusted, "web2.example.net", "signed by")
	_, _, atClient, atServer := pair(t, client, server, "logs.example.net")
	says(t, "server", atServer, Untrusted, "signed by")
	says(t, "client", atClient, Rejected, "does not know the authority")
	if server.Doubt() == "" || client.Doubt() != "" {
		t.Errorf("got doubts %q and %q, want one about the server's own certificate", server.Doubt(), client.Doubt())
	}
}
