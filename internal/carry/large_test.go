package carry

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ftfuse/internal/record"
)

// A file of 256 MiB takes no more memory than a small one: what is under way, and a chunk.
func TestLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("writes and sends 256 MiB")
	}
	const size = 256 << 20
	file := filepath.Join(t.TempDir(), "a.log")
	makeLarge(t, file, size)
	s, to := receiver(t)
	s.discard = true
	var most atomic.Uint64
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapAlloc))
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	r, err := options(t, t.TempDir(), to).File(t.Context(), file, as)
	close(stop)
	<-watched
	if err != nil || r.Sent != size || s.got() != size {
		t.Fatalf("got %+v, %v, and %d bytes there", r, err, s.got())
	}
	if limit := uint64(64 << 20); most.Load() > limit { // both sides: the receiver's batches, and what the collector has not taken yet
		t.Errorf("got %d MiB of heap, want at most %d", most.Load()>>20, limit>>20)
	}
	t.Logf("heap at most %d MiB, both sides", most.Load()>>20)
}

func makeLarge(t *testing.T, name string, size int64) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, record.MaxChunk)
	line := strings.Repeat("x", 110)
	for n := int64(0); n < size; {
		text := fmt.Sprintf("%012d %s\n", n, line)
		text = text[:min(int64(len(text)), size-n)]
		n += int64(len(text))
		if _, err := w.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}
