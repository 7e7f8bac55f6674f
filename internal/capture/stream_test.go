package capture

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ftfuse/internal/record"
)

// Whatever is written, in whatever portions, by whichever writers: the chunks laid end to end are the bytes, every
// checksum holds, no chunk passes the limit, and as many records end as there were.
func TestStreamKeepsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 64).Draw(t, "limit")
		unit := rapid.SampledFrom([]record.Unit{record.Line, record.Write, record.Binary}).Draw(t, "unit")
		m := &meta{ID: 7, MaxRecord: limit, MaxAge: int64(time.Second), File: record.File{Unit: unit}}
		s := newStream(m, &record.Source{}, 0)
		writers := []*record.Writer{{PID: 1}, {PID: 2}}
		var all []byte
		var out []record.Chunk
		now := time.Unix(0, 0)
		writes := 0
		for range rapid.IntRange(0, 20).Draw(t, "writes") {
			p := rapid.SliceOfN(rapid.SampledFrom([]byte("ab\n\x00\r")), 1, 100).Draw(t, "p")
			w := rapid.SampledFrom(writers).Draw(t, "w")
			at := piece{spool: 1, off: int64(len(all)), data: p, at: int64(len(all)), writer: w, written: unit == record.Write}
			out = s.feed(at, now, out)
			all = append(all, p...)
			writes++
			switch rapid.IntRange(0, 3).Draw(t, "then") {
			case 0:
				out = s.flush(out)
			case 1:
				now = now.Add(time.Second)
				out = s.age(now, out)
			}
		}
		out = s.end(out)
		checkChunks(t, out, all, limit)
		var records int
		for _, c := range out {
			records += int(c.Records)
		}
		want := bytes.Count(all, []byte{'\n'})
		if len(all) > 0 && all[len(all)-1] != '\n' {
			want++
		}
		switch unit {
		case record.Write:
			want = writes
		case record.Binary:
			want = len(out)
		}
		if records != want {
			t.Fatalf("got %d records, want %d in %q: %+v", records, want, all, out)
		}
	})
}

func checkChunks(t *rapid.T, out []record.Chunk, all []byte, limit int) {
	pos, open := 0, false
	for i, c := range out {
		if int(c.Offset) != pos || int(c.Len) > limit {
			t.Fatalf("chunk %d at %d of %d bytes, want at %d, at most %d", i, c.Offset, c.Len, pos, limit)
		}
		if got := c.Flags&record.Continues != 0; got != open {
			t.Fatalf("chunk %d continues %v, want %v", i, got, open)
		}
		open = c.Flags&record.Continued != 0
		var data []byte
		for _, e := range c.Extents {
			data = append(data, all[e.Off:e.Off+int64(e.Len)]...)
		}
		if !bytes.Equal(data, all[pos:pos+int(c.Len)]) || record.CRC(data) != c.CRC {
			t.Fatalf("chunk %d is %q, want %q", i, data, all[pos:pos+int(c.Len)])
		}
		marks := 0
		for _, m := range c.Marks {
			marks += int(m.Len)
		}
		if c.Marks != nil && marks != int(c.Len) {
			t.Fatalf("chunk %d has marks over %d of %d bytes", i, marks, c.Len)
		}
		pos += int(c.Len)
	}
	if pos != len(all) || open {
		t.Fatalf("chunks hold %d of %d bytes, open %v", pos, len(all), open)
	}
}

// A record belongs to who began it; what another writes after its end is the other's.
func TestStreamTellsWritersApart(t *testing.T) {
	s := newStream(&meta{MaxRecord: 100}, &record.Source{}, 0)
	a, b := &record.Writer{PID: 1}, &record.Writer{PID: 2}
	var out []record.Chunk
	off := int64(0)
	for _, w := range []struct {
		by   *record.Writer
		data string
	}{{a, "a1\na2\npart"}, {b, " by b\nb1\n"}, {a, "a3\n"}} {
		out = s.feed(piece{spool: 1, off: off, data: []byte(w.data), writer: w.by}, time.Now(), out)
		off += int64(len(w.data))
	}
	out = s.end(out)
	var got []string
	for _, c := range out {
		got = append(got, string(rune('0'+c.Writer.PID))+":"+string(rune('0'+c.Records)))
	}
	if want := "[1:3 2:1 1:1]"; len(got) != 3 || got[0] != "1:3" || got[1] != "2:1" || got[2] != "1:1" {
		t.Fatalf("got writers and records %v, want %s", got, want)
	}
}

// A view is an array of bytes of which the oldest part may be gone.
func TestViewIsAFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v view
		var want []int64 // per offset: 1000*spool + offset in it; 0 for a hole
		spoolEnd := map[uint64]int64{}
		gone := int64(0)
		for range rapid.IntRange(1, 40).Draw(t, "ops") {
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0, 1:
				sp := rapid.Uint64Range(1, 3).Draw(t, "spool")
				n := rapid.Int64Range(1, 20).Draw(t, "n")
				at := int64(len(want))
				if rapid.Bool().Draw(t, "elsewhere") {
					at = rapid.Int64Range(gone, int64(len(want))+10).Draw(t, "at")
				}
				v.put(at, n, sp, spoolEnd[sp])
				for int64(len(want)) < at+n {
					want = append(want, 0)
				}
				for i := range n {
					want[at+i] = int64(sp)*1000 + spoolEnd[sp] + i
				}
				spoolEnd[sp] += n
			case 2:
				n := rapid.Int64Range(gone, int64(len(want))+5).Draw(t, "size")
				v.truncate(n)
				for int64(len(want)) < n {
					want = append(want, 0)
				}
				want = want[:n]
			case 3:
				gone = rapid.Int64Range(gone, int64(len(want))).Draw(t, "gone")
				v.trim(gone)
			}
		}
		if v.size != int64(len(want)) || v.base != gone {
			t.Fatalf("size %d base %d, want %d and %d", v.size, v.base, len(want), gone)
		}
		for off := gone; off < v.size; off++ {
			i := v.find(off)
			if i == len(v.patches) || v.patches[i].At > off {
				t.Fatalf("offset %d is missing in %+v", off, v.patches)
			}
			p := v.patches[i]
			got := int64(0)
			if p.Spool != inHole {
				got = int64(p.Spool)*1000 + p.Off + off - p.At
			}
			if got != want[off] {
				t.Fatalf("offset %d is %d, want %d", off, got, want[off])
			}
		}
	})
}
