package queue

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"ftfuse/internal/record"
)

// gapOf returns the only gap among the chunks.
func gapOf(t *testing.T, chunks []record.Chunk) (gap *record.Chunk) {
	t.Helper()
	for i := range chunks {
		if chunks[i].Gap != nil {
			if gap != nil {
				t.Fatalf("got gaps %+v and %+v, want one", *gap, chunks[i])
			}
			gap = &chunks[i]
		}
	}
	if gap == nil {
		t.Fatal("got no gap")
	}
	return gap
}

// A gap lies where the lines that it stands for would, over restarts too.
func TestGapSaysWhatItIsAbout(t *testing.T) {
	odd := &record.File{Mount: "m", Path: "odd\xff.log", Rule: "r"}
	for name, x := range map[string]struct {
		files []*record.File
		drop  func(q *Queue, c *Cursor) error
		want  *record.File
		by    *record.Writer
	}{
		"full":       {[]*record.File{odd, odd}, dropAll, odd, writer},
		"uplink":     {[]*record.File{odd, odd}, dropReturned, odd, writer},
		"two files":  {[]*record.File{odd, files["r"]}, dropAll, &record.File{Mount: "m", Rule: "r"}, writer},
		"two rules":  {[]*record.File{files["r"], files["s"]}, dropAll, &record.File{Mount: "m", Path: "a/b.log"}, writer},
		"not a file": {[]*record.File{files["r"], {Mount: "x", Path: "y", Rule: "z"}}, dropAll, nil, writer},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(fastDir(t))
			q, _ := open(t, o)
			c := cursor(t, q, "a")
			for i, f := range x.files {
				k := inline("r", "12345")
				k.File, k.Time = f, int64(1e18+i)
				appendAll(t, q, k)
			}
			if err := x.drop(q, c); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				all, _ := drain(t, c, 1<<20)
				g := gapOf(t, all)
				if !same(g.File, x.want) || !same(g.Writer, x.by) || g.Time != 1e18 || g.Gap.Bytes != 10 || g.Gap.Records != 2 || g.Source.Host != "h" {
					t.Fatalf("got %+v of %+v, want %+v", g, g.File, x.want)
				}
				q.Close()
				q, _ = open(t, o)
				c = cursor(t, q, "a")
			}
		})
	}
}

func dropAll(q *Queue, _ *Cursor) error {
	_, err := q.DropOldest(1<<20, record.QueueFull)
	return err
}

func dropReturned(_ *Queue, c *Cursor) error {
	b, _, err := c.read(1 << 20)
	if err != nil {
		return err
	}
	return c.Drop(b.First, b.Last, record.Refused)
}

// Of data that cannot be read the rule and the amount are known all the same, by the books.
func TestGapOfDamageKnowsItsRule(t *testing.T) {
	dir := fastDir(t)
	o, _ := sample(t, dir)
	for _, n := range []uint64{13, 25} {
		if err := os.RemoveAll(filepath.Join(dir, segmentName(n))); err != nil {
			t.Fatal(err)
		}
	}
	q, _ := open(t, o)
	all, _ := drain(t, cursor(t, q, "a"), 1<<20)
	bytes, records := uint64(0), uint64(0)
	for i := range all {
		c := &all[i]
		if c.Gap == nil {
			continue
		}
		bytes, records = bytes+c.Gap.Bytes, records+c.Gap.Records
		if c.Time == 0 || c.Gap.Bytes > 0 && (c.File == nil || c.File.Rule != "r") {
			t.Errorf("got a gap %+v at %d of %+v, want one of rule r", *c.Gap, c.Time, c.File)
		}
	}
	if records == 0 || bytes != records*204 {
		t.Fatalf("got %d bytes and %d records, want 204 bytes a record", bytes, records)
	}
}

func TestAboutReadsItsJSON(t *testing.T) {
	a := &about{source, &record.File{Path: "\xff"}, nil, 5}
	js, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var b about
	if err := json.Unmarshal(js, &b); err != nil || !same(a.file, b.file) || b.writer != nil || b.time != 5 {
		t.Fatalf("got %+v, %v", b, err)
	}
	if err := json.Unmarshal(bytes.Replace(js, []byte("A"), []byte("B"), 1), &b); err == nil {
		t.Fatal("read damaged JSON")
	}
}
