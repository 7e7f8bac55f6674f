package secure

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/url"
	"slices"
	"testing"
	"time"

	"ftfuse/internal/authority"
)

// Both sides know each other by the first name, and data passes.
func TestBothSidesKnowEachOther(t *testing.T) {
	s := newSite(t)
	s.issue("web", 0, day1, "Web1.example.net", "web1")
	s.issue("logs", 0, day1, "logs.example.net", "127.0.0.1")
	for _, name := range []string{"logs.example.net", "127.0.0.1"} {
		client := New(s.of("web", Dials))
		c, srv, atClient, atServer := pair(t, client, New(s.of("logs", Listens)), name)
		if atClient != nil || atServer != nil {
			t.Fatal(atClient, atServer)
		}
		if c.Peer.Name != "logs.example.net" || srv.Peer.Name != "web1.example.net" {
			t.Errorf("got peers %q and %q", c.Peer.Name, srv.Peer.Name)
		}
		if v := c.ConnectionState().Version; v != tls.VersionTLS13 {
			t.Errorf("got version %x, want TLS 1.3", v)
		}
		if err := client.Recheck(c); err != nil {
			t.Error(err)
		}
	}
}

// What is wrong with a certificate is said on both sides, each with the remedy.
func TestWrongCertificates(t *testing.T) {
	s := newSite(t)
	s.issue("web", 0, day1, "web1.example.net")
	s.issue("logs", 0, day1, "logs.example.net")
	s.issue("web2", 0, 5*day1, "web2.example.net")
	s.issue("logs2", 0, 5*day1, "logs.example.net")
	s.issue("early", 2*day1, day1, "early.example.net")
	later := func() time.Time { return time.Now().Add(2 * day1) }
	stranger := newSite(t)
	stranger.issue("evil", 0, day1, "logs.example.net")
	evil := func(side Side) *Credentials {
		o := stranger.of("evil", side)
		o.CA = s.path("ca.crt") // it knows whom it speaks to
		return New(o)
	}
	client, server := func() *Credentials { return New(s.of("web", Dials)) }, func() *Credentials { return New(s.of("logs", Listens)) }
	otherClock := func(side Side, name string, now func() time.Time) *Credentials {
		o := s.of(name, side)
		o.Now = now
		return New(o)
	}
	expired := func(side Side, name string) *Credentials { // it was in force before it expired
		now := time.Now
		c := otherClock(side, name, func() time.Time { return now() })
		if _, err := c.Reload(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, test := range []struct {
		what           string
		client, server *Credentials
		atClient       Cause
		clientSays     []string
		atServer       Cause
		serverSays     []string
	}{
		{"a receiver of another authority", client(), evil(Listens), Untrusted, []string{"signed by", "site of", s.path("ca.crt"), "issue it by that authority"},
			Rejected, []string{"evil.crt", "does not accept it"}},
		{"a sender of another authority", evil(Dials), server(), Rejected, []string{"evil.crt", "does not know the authority"},
			Untrusted, []string{"the sender's certificate (logs.example.net)", "signed by", s.path("ca.crt")}},
		{"a receiver whose certificate has expired", otherClock(Dials, "web2", later), expired(Listens, "logs"), Untrusted, []string{"has expired on", "renew it there and reload"},
			Rejected, []string{"logs.crt"}},
		{"a sender whose certificate has expired", expired(Dials, "web"), otherClock(Listens, "logs2", later), Rejected, []string{"web.crt", "expired"},
			Untrusted, []string{"(web1.example.net) has expired on"}},
		{"a sender that is too early", otherClock(Dials, "early", func() time.Time { return time.Now().Add(2*day1 + time.Hour) }), New(s.of("logs2", Listens)), Rejected, []string{"not valid yet"},
			Untrusted, []string{"is valid from", "set the clocks"}},
	} {
		t.Run(test.what, func(t *testing.T) {
			_, _, atClient, atServer := pair(t, test.client, test.server, "logs.example.net")
			says(t, "client", atClient, test.atClient, test.clientSays...)
			says(t, "server", atServer, test.atServer, test.serverSays...)
		})
	}
}

// The name that was dialled has to be in the certificate; the common name does not count.
func TestNameMismatch(t *testing.T) {
	s := newSite(t)
	s.issue("web", 0, day1, "web1.example.net")
	s.issue("logs", 0, day1, "logs.example.net")
	_, _, atClient, atServer := pair(t, New(s.of("web", Dials)), New(s.of("logs", Listens)), "other.example.net")
	says(t, "client", atClient, Untrusted, "(logs.example.net) has not the name other.example.net", "tls.server_name")
	says(t, "server", atServer, Rejected, "logs.crt")
}

// A client without a certificate, and one of TLS 1.2, do not get in.
func TestClientsOfAnotherKind(t *testing.T) {
	s := newSite(t)
	s.issue("logs", 0, day1, "logs.example.net")
	roots := x509.NewCertPool()
	roots.AddCert(s.a.Certificate)
	for name, test := range map[string]struct {
		config *tls.Config
		cause  Cause
		says   string
	}{
		"no certificate": {&tls.Config{}, NoCertificate, "sent no certificate, want one signed by"},
		"TLS 1.2":        {&tls.Config{MaxVersion: tls.VersionTLS12}, Broken, "want TLS 1.3"},
	} {
		t.Run(name, func(t *testing.T) {
			test.config.RootCAs, test.config.ServerName = roots, "logs.example.net"
			err := against(t, New(s.of("logs", Listens)), func(nc net.Conn) {
				c := tls.Client(nc, test.config)
				if c.Handshake() == nil {
					_, _ = c.Read(make([]byte, 1))
				}
			})
			says(t, "server", err, test.cause, test.says)
		})
	}
}

// against has act be the client of a server, and returns what the server says of the handshake.
func against(t *testing.T, server *Credentials, act func(net.Conn)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		act(a)
		a.Close()
	}()
	_, err := server.Server(ctx, b)
	b.Close()
	<-done
	return err
}

// A peer without TLS at a port with TLS, and the other way round, are told apart from everything else.
func TestPlaintext(t *testing.T) {
	s := newSite(t)
	s.issue("web", 0, day1, "web1.example.net")
	s.issue("logs", 0, day1, "logs.example.net")
	err := against(t, New(s.of("logs", Listens)), func(nc net.Conn) { _, _ = nc.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")) })
	says(t, "server", err, Plaintext, `"GET /"`, "want TLS 1.3", "tls: {ca, cert, key}")
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		go io.Copy(io.Discard, b)
		_, _ = b.Write([]byte("\x00\x00\x00\x05hello"))
	}()
	_, err = New(s.of("web", Dials)).Client(t.Context(), a, "logs.example.net")
	says(t, "client", err, Plaintext, "the receiver speaks without TLS")
	<-done
}

// A peer that says nothing is given up when its time is over.
func TestSilence(t *testing.T) {
	s := newSite(t)
	s.issue("logs", 0, day1, "logs.example.net")
	a, b := net.Pipe()
	defer a.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := New(s.of("logs", Listens)).Server(ctx, b)
	says(t, "server", err, Late, "in time")
}

// An identity is the first DNS name, else the first URI, else the first address. The common name never is.
func TestIdentity(t *testing.T) {
	a, err := authority.New("x", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for want, names := range map[string][]string{
		"b.example.net":     {"10.0.0.1", "spiffe://s/a", "B.example.net", "a.example.net"},
		"spiffe://site/web": {"10.0.0.1", "spiffe://site/web"},
		"10.0.0.1":          {"10.0.0.1", "::1"},
	} {
		i, err := a.Issue(names, time.Now(), time.Now().Add(day1))
		if err != nil {
			t.Fatal(err)
		}
		list, err := Certificates(i.Cert)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := IdentityOf(list[0]); !ok || got.Name != want {
			t.Errorf("%v: got %q, want %q", names, got.Name, want)
		}
	}
	common := &x509.Certificate{}
	common.Subject.CommonName = "web1.example.net"
	if got, ok := IdentityOf(common); ok {
		t.Errorf("a common name gives the identity %q", got.Name)
	}
	u, _ := url.Parse("spiffe://site/prod/web1")
	for _, test := range []struct {
		c    x509.Certificate
		want []string
	}{
		{x509.Certificate{DNSNames: []string{"web1.example.net", "www.example.net"}}, []string{"web1.example.net", "web1", "www.example.net", "www"}},
		{x509.Certificate{URIs: []*url.URL{u}}, []string{"web1"}},
		{x509.Certificate{IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}}, []string{"10.0.0.1"}},
	} {
		if i, _ := IdentityOf(&test.c); !slices.Equal(i.Hosts(), test.want) {
			t.Errorf("%v: got hosts %v, want %v", i, i.Hosts(), test.want)
		}
	}
}

// Buffers of all sizes arrive as they were, in order.
func TestWriteBuffers(t *testing.T) {
	s := newSite(t)
	s.issue("web", 0, day1, "web1.example.net")
	s.issue("logs", 0, day1, "logs.example.net")
	c, srv, atClient, atServer := pair(t, New(s.of("web", Dials)), New(s.of("logs", Listens)), "logs.example.net")
	if atClient != nil || atServer != nil {
		t.Fatal(atClient, atServer)
	}
	var want []byte
	var list net.Buffers
	for i, size := range []int{0, 1, 10, 40_000, 30_000, 64 << 10, 200_000, 3, 64<<10 + 1, 0, 5} {
		b := bytes.Repeat([]byte{byte(i)}, size)
		list, want = append(list, b), append(want, b...)
	}
	sent := make(chan error, 1)
	go func() {
		n, err := c.WriteBuffers(list)
		if err == nil && n != int64(len(want)) {
			t.Errorf("got %d bytes written, want %d", n, len(want))
		}
		sent <- err
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(srv, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what arrives differs (%v)", err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}
