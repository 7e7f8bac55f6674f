package queue

import (
	"path/filepath"
	"testing"

	"github.com/syndtr/goleveldb/leveldb/storage"

	"ftfuse/internal/record"
)

// onWrite is a storage that says of each write to a journal that it begins.
type onWrite struct {
	storage.Storage
	do func()
}

func (s *onWrite) Create(fd storage.FileDesc) (storage.Writer, error) {
	w, err := s.Storage.Create(fd)
	if err != nil || fd.Type != storage.TypeJournal {
		return w, err
	}
	return &writeSaid{w, s.do}, nil
}

type writeSaid struct {
	storage.Writer
	do func()
}

func (w *writeSaid) Write(p []byte) (int, error) {
	w.do()
	return w.Writer.Write(p)
}

// However many streams somebody asks for, and while destinations go on to acknowledge, they are answered for by one commit.
func TestManyStreamsAreOneCommit(t *testing.T) {
	const streams = 1024
	commits, acks := 0, func() {}
	o := options(fastDir(t))
	o.Storage = func(path string) (storage.Storage, error) {
		s, err := storage.OpenFile(path, false)
		if err != nil || path != filepath.Join(o.Dir, metaName) {
			return s, err
		}
		return &onWrite{s, func() { commits++; acks() }}, nil
	}
	q, _ := open(t, o) // and no Run: nothing else commits
	up, other := cursor(t, q, "up"), cursor(t, q, "other")
	var asked []record.Stream
	var queued []record.Chunk
	for n := range uint64(streams) {
		s := streamOf(int(n), 1)
		c := inline("r", "line\n")
		c.Source, c.Seq = &record.Source{Stream: s, Host: "h"}, 1
		asked, queued = append(asked, s), append(queued, c)
	}
	appendAll(t, q, queued...)
	all, last := drain(t, other, 1)
	if len(all) != streams {
		t.Fatalf("got %d chunks, want %d", len(all), streams)
	}
	if err := other.Ack(last, record.Durable{}); err != nil {
		t.Fatal(err)
	}
	acks = func() { // the next one acknowledges while a commit is under way, so that this one does not cover it
		if b, ok := next(t, up, 1); ok {
			if err := up.Ack(b.Last, record.Durable{}); err != nil {
				t.Error(err)
			}
		}
	}
	acks()
	commits = 0
	got, err := Answered([]*Cursor{up, other}, asked)
	acks = func() {} // closing commits too
	if err != nil {
		t.Fatal(err)
	}
	if commits != 1 {
		t.Errorf("got %d commits for an answer of %d streams, want one", commits, streams)
	}
	for i, d := range got {
		want := record.Durable{}
		if i == 0 { // acknowledged by both before the question
			want = q.Mark(asked[0])
		}
		if d != want {
			t.Fatalf("stream %d: got %+v answered, want %+v", i, d, want)
		}
	}
}
