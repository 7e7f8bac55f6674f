package secure

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/authority"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	day1     = 24 * time.Hour
	patience = 60 * time.Second // bounds what must happen; reaching it is a failure
)

// site has files of certificates, which one authority signed.
type site struct {
	t   *testing.T
	dir string
	a   *authority.Authority
}

func newSite(t *testing.T) *site {
	t.Helper()
	a, err := authority.New("site of "+t.Name(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t, t.TempDir(), a}
	ca, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	s.write("ca.crt", ca.Cert, 0o644)
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name string, b []byte, mode os.FileMode) {
	s.t.Helper()
	if err := errors.Join(os.WriteFile(s.path(name), b, 0o600), os.Chmod(s.path(name), mode)); err != nil {
		s.t.Fatal(err)
	}
}

// issue writes name.crt and name.key for the names, valid for the time from on.
func (s *site) issue(name string, from, length time.Duration, names ...string) {
	s.t.Helper()
	i, err := s.a.Issue(names, time.Now().Add(from), time.Now().Add(from+length))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name+".crt", i.Cert, 0o644)
	s.write(name+".key", i.Key, 0o600)
}

// of returns the options of a side by the files of name.
func (s *site) of(name string, side Side) Options {
	return Options{CA: s.path("ca.crt"), Cert: s.path(name + ".crt"), Key: s.path(name + ".key"), Side: side}
}

// pair has two sides shake hands over a real connection, and returns what each says. The server reads until the client closes.
func pair(t *testing.T, client, server *Credentials, name string) (c, s *Conn, atClient, atServer error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := ln.Accept()
		if err != nil {
			atServer = err
			return
		}
		s, atServer = server.Server(ctx, nc)
		if atServer == nil {
			_, atServer = s.Write([]byte("hello"))
			t.Cleanup(func() { s.Close() })
			return
		}
		nc.(*net.TCPConn).CloseWrite() // so that what it said arrives
		nc.SetReadDeadline(time.Now().Add(patience))
		for b := make([]byte, 512); ; {
			if _, err := nc.Read(b); err != nil {
				break
			}
		}
		nc.Close()
	}()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if c, atClient = client.Client(ctx, nc, name); atClient == nil {
		c.SetDeadline(time.Now().Add(patience))
		_, atClient = c.Read(make([]byte, 5)) // with TLS 1.3 the server's verdict comes after the handshake
		if atClient != nil {
			c.Close()
		} else {
			t.Cleanup(func() { c.Close() })
		}
	}
	<-done
	return c, s, atClient, atServer
}

// says wants an error with all the texts.
func says(t *testing.T, who string, err error, cause Cause, texts ...string) {
	t.Helper()
	var h *HandshakeError
	if !errors.As(err, &h) || h.Cause != cause {
		t.Errorf("%s: got %v, want cause %d", who, err, cause)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s says %q, want %q in it", who, err, text)
		}
	}
}
