package receiver_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/receivertest"
	"ftfuse/internal/record"
	"ftfuse/internal/wire"
	"ftfuse/receiver"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The queue's database lets its buffers go some time after it is closed.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

var file = &record.File{Mount: "app", Path: "log/a.log", Rule: "r"}

// serve starts a server until the test ends, or stop is called.
func serve(t *testing.T, store receiver.Store, ln net.Listener) (s *receiver.Server, address string, stop func()) {
	t.Helper()
	s, err := receiver.New(receiver.Options{Store: store, Logger: slog.New(slog.DiscardHandler), RetryMin: time.Millisecond, RetryMax: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if ln == nil {
		if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return s, ln.Addr().String(), stop
}

// memory is a store that keeps marks and data together.
type memory struct {
	mu    sync.Mutex
	marks map[receiver.Stream]receiver.Mark
	data  []byte
	gaps  []receiver.Gap
	fail  func(b *receiver.Batch) error // before anything is stored
	lose  func() error                  // instead of the answer, when all is stored
	blind func() error                  // of Mark
}

func (m *memory) Mark(_ context.Context, s receiver.Stream) (receiver.Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.blind != nil {
		if err := m.blind(); err != nil {
			return receiver.Mark{}, err
		}
	}
	return m.marks[s], nil
}

func (m *memory) Put(_ context.Context, b *receiver.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(b); err != nil {
			return err
		}
	}
	for i := range b.Chunks {
		m.data = append(m.data, b.Chunks[i].Data...)
		if g := b.Chunks[i].Gap; g != nil {
			m.gaps = append(m.gaps, *g)
		}
	}
	if m.marks == nil {
		m.marks = map[receiver.Stream]receiver.Mark{}
	}
	for _, a := range b.Advances {
		if m.marks[a.Stream] != a.From {
			return errors.New("the mark is elsewhere")
		}
		m.marks[a.Stream] = a.To
	}
	if m.lose != nil {
		return m.lose()
	}
	return nil
}

// fill appends n lines and returns all of them.
func fill(s *receivertest.Sender, n int) []byte {
	var all []byte
	for i := range n {
		line := strings.Repeat("x", i%300) + "\n"
		s.Append(uint64(i%3), file, line)
		all = append(all, line...)
	}
	return all
}

func (m *memory) holds(t *testing.T, want []byte) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !bytes.Equal(m.data, want) {
		t.Errorf("got %d bytes, want %d, or others", len(m.data), len(want))
	}
}

// Everything is stored once although the store fails, loses its answers and cannot say what it holds.
func TestOnceThroughTrouble(t *testing.T) {
	m := &memory{}
	n := 0
	every := func(k int) func() error {
		return func() error {
			if n++; n%k == 0 {
				return errors.New("trouble")
			}
			return nil
		}
	}
	m.blind, m.lose = every(5), every(3)
	m.fail = func(*receiver.Batch) error { return every(4)() }
	s := receivertest.Open(t, wire.Zstd)
	want := fill(s, 2000)
	server, address, stop := serve(t, m, nil)
	s.Listening(address)
	s.Start()
	s.Await(1500)
	stop()                                // the sender connects to another one, with the same store
	want = append(want, fill(s, 1000)...) // so that there is something for it, however far the first has got
	again, address, _ := serve(t, m, nil)
	s.Listening(address)
	s.Await(3000)
	m.holds(t, want)
	if a, b := server.Status(), again.Status(); a.Failures+b.Failures == 0 || len(b.Senders) != 1 || b.Senders[0].Host != "web 1" || b.Connections != 1 || b.Chunks == 0 {
		t.Errorf("got %+v, then %+v", a, b)
	}
}

// What is refused for good becomes a gap, and so does what was dropped before.
func TestRefused(t *testing.T) {
	m := &memory{fail: func(b *receiver.Batch) error {
		for i := range b.Chunks {
			if bytes.Contains(b.Chunks[i].Data, []byte("bad")) {
				return receiver.ErrRefused
			}
		}
		return nil
	}}
	s := receivertest.Open(t, wire.None)
	s.Append(1, file, "old\n")
	s.Drop(record.Expired)
	s.Append(1, file, "good\n")
	s.Append(1, file, "bad\n")
	s.Append(1, file, "better\n")
	_, address, _ := serve(t, m, nil)
	s.Listening(address)
	s.Start()
	s.Await(4)
	m.holds(t, []byte("good\nbetter\n"))
	if len(m.gaps) != 2 || m.gaps[0].Reason != receiver.Expired || m.gaps[1].Reason != receiver.Refused || m.gaps[1].Bytes != 4 {
		t.Errorf("got %v, want one expired, one refused", m.gaps)
	}
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"logs"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{}
	s := receivertest.Open(t, wire.S2)
	s.Dial(func(ctx context.Context, address string) (net.Conn, error) {
		return (&tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "logs"}}).DialContext(ctx, "tcp", address)
	})
	want := fill(s, 500)
	_, address, _ := serve(t, m, ln)
	s.Listening(address)
	s.Start()
	s.Await(500)
	m.holds(t, want)
}

// A program with a function and a file of marks is stopped and started: nothing is lost, and in order nothing comes twice.
func TestAtLeastOnce(t *testing.T) {
	var got []byte // of one Put at a time: there is one sender
	marks := filepath.Join(t.TempDir(), "marks")
	s := receivertest.Open(t, wire.None)
	want := fill(s, 2000)
	s.Start()
	for _, until := range []uint64{500, 1000, 2000} {
		store, err := receiver.AtLeastOnce(func(_ context.Context, b *receiver.Batch) error {
			for i := range b.Chunks {
				got = append(got, b.Chunks[i].Data...)
			}
			return nil
		}, marks)
		if err != nil {
			t.Fatal(err)
		}
		_, address, stop := serve(t, store, nil)
		s.Listening(address)
		s.Await(until)
		s.Listening("")
		stop()
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, want %d, or others", len(got), len(want))
	}
}

func TestOptions(t *testing.T) {
	for want, o := range map[string]receiver.Options{
		"store: got none":   {},
		"memory: got 1":     {Store: &memory{}, Memory: 1},
		"idle timeout: got": {Store: &memory{}, IdleTimeout: time.Millisecond},
	} {
		if _, err := receiver.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
