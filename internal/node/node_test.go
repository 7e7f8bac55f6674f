package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"ftfuse/internal/record"
)

// mpoolDrain ends by itself one second after its database was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

// Parts end in reverse order of their start, one after the other, and all errors come out.
func TestStagesStopInReverse(t *testing.T) {
	s := newStages()
	var mu sync.Mutex
	var ended []string
	boom := errors.New("boom")
	for _, name := range []string{"queue", "uplink", "mount"} {
		s.start(name, func(ctx context.Context) error {
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			ended = append(ended, name)
			if name == "uplink" {
				return boom
			}
			return ctx.Err() // being told to stop is no error
		})
	}
	err := s.stop()
	if !slices.Equal(ended, []string{"mount", "uplink", "queue"}) {
		t.Errorf("ended in order %v", ended)
	}
	if !errors.Is(err, boom) || errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "uplink: boom") {
		t.Errorf("got error %v, want uplink's alone", err)
	}
}

// A part that fails ends the waiting of the whole.
func TestStageThatFailsEndsTheNode(t *testing.T) {
	s := newStages()
	boom := errors.New("boom")
	s.start("steady", func(ctx context.Context) error { <-ctx.Done(); return nil })
	s.start("weak", func(context.Context) error { return boom })
	s.wait(context.Background())
	if err := s.stop(); !errors.Is(err, boom) {
		t.Errorf("got %v, want boom", err)
	}
}

func TestSenderIDStaysAndIsNotGuessed(t *testing.T) {
	dir := t.TempDir()
	a, err := senderID(dir)
	if err != nil || a == (record.SenderID{}) {
		t.Fatal(a, err)
	}
	if b, err := senderID(dir); err != nil || a != b {
		t.Fatalf("got %v, %v at the second start, want %v", b, err, a)
	}
	if err := os.WriteFile(filepath.Join(dir, "id"), []byte("not an id\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := senderID(dir); err == nil || !strings.Contains(err.Error(), "delete it to begin as a new sender") {
		t.Fatalf("a damaged id gives %v, want what to do", err)
	}
}

func TestStateFolderHasOneUser(t *testing.T) {
	dir := t.TempDir()
	f, err := lockState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockState(dir); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Fatalf("a second process got %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g, err := lockState(dir)
	if err != nil {
		t.Fatal(err)
	}
	g.Close()
}
