package uplink_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"ftfuse/internal/record"
	"ftfuse/internal/uplink"
	"ftfuse/internal/wire"
)

func TestDelivers(t *testing.T) {
	for _, codec := range []wire.Codec{wire.None, wire.S2, wire.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			p := newPair(t)
			p.options.Codec = codec
			p.receive()
			stop := p.send()
			fill(p.backlog, p.spools, 100, 10, 100)
			want := fill(p.backlog, p.spools, 5, 3, record.MaxChunk)
			p.delivered()
			p.arrived(want)
			stop()
			st := p.up.Status()
			if st.State != uplink.Stopped || st.AckedBytes != uint64(len(want)) || st.SentBytes != st.AckedBytes || st.AckedChunks != 1015 || st.SentRecords != 1015 || st.AckedRecords != 1015 || st.Failures != 0 || st.Connects != 1 || st.LastError != "" {
				t.Errorf("got %+v", st)
			}
			if codec == wire.None == (st.WireBytes < st.SentBytes) {
				t.Errorf("got %d bytes on the wire for %d", st.WireBytes, st.SentBytes)
			}
		})
	}
}

// Extents that lie side by side are read by one call, not by one a line.
func TestReadsMerged(t *testing.T) {
	p := newPair(t)
	want := fill(p.backlog, p.spools, 10, 100, 50)
	p.receive()
	p.send()
	p.delivered()
	p.arrived(want)
	if p.spools.reads > 3 {
		t.Errorf("got %d reads for 1000 chunks side by side, want one a batch", p.spools.reads)
	}
}

// Inline payload, gaps and entries that are larger than a batch.
func TestAllKinds(t *testing.T) {
	p := newPair(t)
	want := slices.Clone(fill(p.backlog, p.spools, 1, 2, 10))
	data := []byte("rewritten\n")
	p.backlog.add([]record.Chunk{
		{Seq: 3, Source: source, File: file, Writer: writer, CRC: record.CRC(data), Len: uint32(len(data)), Data: data},
		{Seq: 4, Source: source, Gap: &record.Gap{First: 4, Reason: record.SpoolLost, Bytes: 9}},
	})
	want = append(want, data...)
	p.options.Batch = 10 // one chunk a batch
	p.receive()
	p.send()
	p.delivered()
	p.arrived(want)
	if len(p.out.gaps) != 1 || p.out.gaps[0].Bytes != 9 {
		t.Errorf("got gaps %+v", p.out.gaps)
	}
	if st := p.up.Status(); st.AckedBatches != 3 {
		t.Errorf("got %d batches, want 3", st.AckedBatches)
	}
}

// The cable is cut again and again, and the receiver stopped: nothing is lost, nothing doubled.
func TestCuts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	p := newPair(t)
	stop := p.receive()
	p.send()
	var want []byte
	for n := range 60 {
		want = fill(p.backlog, p.spools, 1+rng.IntN(5), 1+rng.IntN(20), 1+rng.IntN(40_000))
		switch n % 6 {
		case 5:
			stop()
			stop = p.receive()
		default:
			before := p.up.Status().SentBatches
			until(t, "something is sent", func() bool { return p.up.Status().SentBatches > before || p.up.Status().Batches == 0 })
			p.cut()
		}
	}
	p.delivered()
	p.arrived(want)
	if p.backlog.epochs != 0 || len(p.backlog.dropped) != 0 {
		t.Errorf("got %d new epochs, %d drops, want none", p.backlog.epochs, len(p.backlog.dropped))
	}
}

// The receiver is away: attempts go on, and what comes when it is back is all of it.
func TestOutage(t *testing.T) {
	p := newPair(t)
	p.send()
	want := fill(p.backlog, p.spools, 50, 2, 1000)
	until(t, "several attempts fail", func() bool { return p.up.Status().Failures > 3 })
	if st := p.up.Status(); st.LastError != "connect: nobody listens" || st.Batches != 0 {
		t.Errorf("got %+v", st)
	}
	p.receive()
	p.delivered()
	p.arrived(want)
	if st := p.up.Status(); st.LastError != "" || st.State != uplink.Connected {
		t.Errorf("got %+v, want it well again", st)
	}
}

// What the receiver has is passed over without being read: its payload may be gone.
func TestResumesPastWhatIsKnown(t *testing.T) {
	p := newPair(t)
	want := slices.Clone(fill(p.backlog, p.spools, 20, 3, 100))
	for _, entry := range p.backlog.entries[:10] { // the receiver has these; the acknowledgement was lost
		for i := range entry {
			p.out.marks[source.Stream] = p.out.marks[source.Stream].Add(&entry[i])
		}
	}
	p.out.data = slices.Clone(want[:3000])
	p.spools.fail = func(e record.Extent) error {
		if e.Off < 3000 {
			return fmt.Errorf("punched: %w", record.ErrGone)
		}
		return nil
	}
	p.receive()
	p.send()
	p.delivered()
	p.arrived(want)
	st := p.up.Status()
	if st.SkippedChunks != 30 || st.SentChunks != 30 || len(p.backlog.dropped) != 0 || p.backlog.epochs != 0 {
		t.Errorf("got %+v, want 30 skipped, 30 sent", st)
	}
	if p.backlog.mark != p.out.marks[source.Stream] {
		t.Errorf("got mark %+v, want the receiver's %+v", p.backlog.mark, p.out.marks[source.Stream])
	}
}

// The receiver knows other data under the same names: all that is not acknowledged goes under a new epoch.
func TestNewEpoch(t *testing.T) {
	other := record.Durable{Stream: source.Stream, Seq: 12, Chain: 99}
	for name, prepare := range map[string]func(p *pair){
		"other content": func(p *pair) { p.out.marks[source.Stream] = other },
		"mark between chunks": func(p *pair) {
			other := other
			other.Seq = 1
			p.out.marks[source.Stream] = other
			p.backlog.entries[0] = p.backlog.entries[0][1:]
		},
		"more than there is": func(p *pair) { other := other; other.Seq = 1000; p.out.marks[source.Stream] = other },
		"other acknowledged": func(p *pair) {
			p.backlog.acked, p.backlog.mark = 2, record.Durable{Stream: source.Stream, Seq: 6, Chain: 5}
			p.out.marks[source.Stream] = record.Durable{Stream: source.Stream, Seq: 6, Chain: 4}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			fill(p.backlog, p.spools, 20, 3, 100)
			prepare(p)
			var want []byte
			for _, entry := range p.backlog.entries[p.backlog.acked:] {
				for i := range entry {
					e := entry[i].Extents[0]
					want = append(want, p.spools.data[e.Spool][e.Off:e.Off+int64(e.Len)]...)
				}
			}
			p.receive()
			p.send()
			p.delivered()
			p.arrived(want)
			if p.backlog.epochs != 1 || p.up.Status().Epochs != 1 || p.backlog.mark.Epoch != 2 {
				t.Errorf("got %d new epochs, mark %+v, want one", p.backlog.epochs, p.backlog.mark)
			}
		})
	}
}

// The receiver has lost its state: sending goes on behind what was acknowledged, and the next resume agrees.
func TestReceiverIsNew(t *testing.T) {
	p := newPair(t)
	want := slices.Clone(fill(p.backlog, p.spools, 20, 3, 100))
	p.backlog.acked, p.backlog.mark = 10, record.Durable{Stream: source.Stream, Seq: 30, Chain: 12345}
	p.receive()
	p.send()
	p.delivered()
	p.cut()
	want = append(want[3000:], fill(p.backlog, p.spools, 5, 1, 100)[6000:]...)
	p.delivered()
	p.arrived(want)
	if p.backlog.epochs != 0 {
		t.Errorf("got %d new epochs, want none", p.backlog.epochs)
	}
}

// Payload that is gone or damaged is given up, entry by entry; all around it arrives.
func TestDamage(t *testing.T) {
	p := newPair(t)
	all := fill(p.backlog, p.spools, 30, 2, 100)
	p.spools.fail = func(e record.Extent) error {
		if e.Off <= 1050 && e.Off+int64(e.Len) > 1050 {
			return fmt.Errorf("punched: %w", record.ErrGone)
		}
		if e.Off <= 4050 && e.Off+int64(e.Len) > 4050 {
			return &fs.PathError{Op: "read", Path: "spool", Err: syscall.EIO}
		}
		return nil
	}
	all[2999] ^= 1 // entry 15, its second chunk
	want := slices.Concat(all[:1000], all[1200:2800], all[3000:4000], all[4200:])
	p.receive()
	p.send()
	p.delivered()
	p.arrived(want)
	if d := p.backlog.dropped; len(d) != 3 || d[6] != record.SpoolLost || d[15] != record.Damaged || d[21] != record.Damaged {
		t.Errorf("got %v dropped, want 6: spool lost, 15 and 21: damaged", d)
	}
	if len(p.out.gaps) != 3 || p.up.Status().Drops != 3 || p.backlog.epochs != 0 {
		t.Errorf("got gaps %+v, %+v", p.out.gaps, p.up.Status())
	}
}

// A read that fails while the machine is short of something, or a few times, costs nothing but time.
func TestReadsAgain(t *testing.T) {
	for cause, times := range map[error]int{syscall.EMFILE: 30, syscall.ENOMEM: 30, syscall.ENOSPC: 30, syscall.EIO: 4} {
		t.Run(cause.Error(), func(t *testing.T) {
			p := newPair(t)
			want := fill(p.backlog, p.spools, 10, 2, 100)
			left := 2 * times // a merged read that fails is followed by one of each chunk
			p.spools.fail = func(e record.Extent) error {
				if e.Off <= 1050 && e.Off+int64(e.Len) > 1050 && left > 0 {
					left--
					return &fs.PathError{Op: "open", Path: "spool", Err: cause}
				}
				return nil
			}
			p.receive()
			p.send()
			p.delivered()
			p.arrived(want)
			if left != 0 || len(p.backlog.dropped) != 0 || p.up.Status().LastError != "" {
				t.Errorf("got %d failures left, %v dropped, error %q, want none", left, p.backlog.dropped, p.up.Status().LastError)
			}
		})
	}
}

// The receiver refuses one entry for good: that one becomes a gap.
func TestRefusedForGood(t *testing.T) {
	p := newPair(t)
	all := fill(p.backlog, p.spools, 30, 2, 100)
	p.out.fail = func(list []record.Chunk) error {
		for i := range list {
			if list[i].Seq == 24 && list[i].Gap == nil {
				return fmt.Errorf("no such place: %w", record.ErrRefused)
			}
		}
		return nil
	}
	p.receive()
	p.send()
	p.delivered()
	p.arrived(slices.Concat(all[:2200], all[2400:]))
	if d := p.backlog.dropped; len(d) != 1 || d[12] != record.Refused || p.out.gaps[0].First != 23 {
		t.Errorf("got %v dropped, gaps %+v, want 12: refused", d, p.out.gaps)
	}
}

func TestOptions(t *testing.T) {
	p := newPair(t)
	for name, change := range map[string]func(o *uplink.Options){
		"backlog": func(o *uplink.Options) { o.Backlog = nil },
		"store":   func(o *uplink.Options) { o.Store = nil },
		"dial":    func(o *uplink.Options) { o.Dial = nil },
		"batch":   func(o *uplink.Options) { o.Batch = 5 << 20 },
		"level":   func(o *uplink.Options) { o.Level = 23 },
		"window":  func(o *uplink.Options) { o.Window = -1 },
	} {
		o := p.options
		change(&o)
		if u, err := uplink.New(o); err == nil || u != nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func BenchmarkLoopback(b *testing.B) {
	for _, bc := range []struct {
		name      string
		size, per int
		codec     wire.Codec
		level     int
	}{
		{"1MiB-chunks", 1 << 20, 1, wire.None, 0},
		{"64KiB-chunks", 64 << 10, 16, wire.None, 0},
		{"4KiB-chunks", 4 << 10, 256, wire.None, 0},
		{"128B-chunks", 128, 4096, wire.None, 0},
		{"64KiB-chunks-s2", 64 << 10, 16, wire.S2, 0},
		{"64KiB-chunks-zstd-1", 64 << 10, 16, wire.Zstd, 1},
		{"64KiB-chunks-zstd-3", 64 << 10, 16, wire.Zstd, 3},
		{"64KiB-chunks-zstd-9", 64 << 10, 16, wire.Zstd, 9},
	} {
		b.Run(bc.name, func(b *testing.B) {
			p := newPair(b)
			p.options.Codec, p.options.Level = bc.codec, bc.level
			data := bytes.Repeat([]byte("GET /index.html HTTP/1.1 200 612 - curl/7.88\n"), bc.size*bc.per/45+1)[:bc.size*bc.per]
			p.spools.data[1] = data
			entry := make([]record.Chunk, bc.per)
			for i := range entry {
				off := i * bc.size
				entry[i] = record.Chunk{Source: source, File: file, Writer: writer, Handle: 1, Offset: uint64(off), Records: 1, Len: uint32(bc.size),
					CRC: record.CRC(data[off : off+bc.size]), Extents: []record.Extent{{Spool: 1, Off: int64(off), Len: uint32(bc.size)}}}
			}
			bl := &endless{entry: entry, left: b.N, done: make(chan struct{})}
			p.options.Backlog, p.options.Epoch = bl, func() uint64 { return 1 }
			p.out = nil
			stop := receiveNothing(p)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			b.ResetTimer()
			end := p.send()
			<-bl.done
			b.StopTimer()
			b.ReportMetric(float64(b.N*bc.per)/b.Elapsed().Seconds(), "chunks/s")
			end()
			stop()
		})
	}
}
