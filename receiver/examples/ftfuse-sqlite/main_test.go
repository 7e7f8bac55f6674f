package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/receivertest"
	"ftfuse/internal/record"
	"ftfuse/internal/wire"
	"ftfuse/receiver"
)

// TestMain is the program itself where the tests run it.
func TestMain(m *testing.M) {
	if os.Getenv("FTFUSE_SQLITE_PROGRAM") != "" {
		os.Exit(run(os.Args[1:], os.Stderr))
	}
	os.Exit(m.Run())
}

func program(t *testing.T, database string) *receivertest.Program {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-listen", "127.0.0.1:0", "-database", database)
	cmd.Env = append(os.Environ(), "FTFUSE_SQLITE_PROGRAM=1")
	return receivertest.Run(t, cmd)
}

var files = []*record.File{{Mount: "app", Path: "log/a.log", Rule: "r"}, {Mount: "app", Path: "log/b \xff.log", Rule: "r"}, {Mount: "app", Path: "c", Rule: "r"}}

// The program is killed again and again, wherever it is. Every line is there once, and in order.
func TestKill(t *testing.T) {
	const chunks, lines, kills = 6000, 4, 12
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := receivertest.Open(t, wire.S2)
	want := map[uint64][]string{}
	for n := range chunks {
		var text strings.Builder
		h := random.Uint64N(3)
		for range lines {
			line := fmt.Sprintf("handle %d line %d\n", h, len(want[h]))
			want[h] = append(want[h], line)
			text.WriteString(line)
		}
		s.Append(h, files[h], text.String(), func(c *record.Chunk) { c.Records = lines; c.Time = int64(n) })
	}
	s.Start()
	database := filepath.Join(t.TempDir(), "lines 1.db")
	total := kills * receivertest.Soak()
	for n := range total {
		p := program(t, database)
		s.Listening(p.Address)
		first, last := uint64(n)*chunks/uint64(total+1), uint64(n+1)*chunks/uint64(total+1)
		s.Await(first + random.Uint64N(last-first))
		p.KillWithin(20*time.Millisecond, random)
	}
	p := program(t, database)
	s.Listening(p.Address)
	s.Await(chunks)
	p.Stop()
	check(t, database, want)
}

func check(t *testing.T, database string, want map[uint64][]string) {
	t.Helper()
	st, err := openStore(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	rows, err := st.db.Query(`SELECT handle, host, path, uid, pid, comm, unit, clock, data FROM lines ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[uint64][]string{}
	for rows.Next() {
		var h, uid, pid uint64
		var host, path, comm, unit, clock, data string
		if err := rows.Scan(&h, &host, &path, &uid, &pid, &comm, &unit, &clock, &data); err != nil {
			t.Fatal(err)
		}
		about := fmt.Sprintf("%q %q %d %d %q %q %q", host, path, uid, pid, comm, unit, clock)
		if wanted := fmt.Sprintf(`"web 1" %q 1000 %d "nginx" "nginx.service" "written"`, files[h].Path, h); about != wanted {
			t.Fatalf("got %s, want %s", about, wanted)
		}
		got[h] = append(got[h], data)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for h := range want {
		if len(got[h]) != len(want[h]) {
			t.Errorf("handle %d: got %d lines, want %d", h, len(got[h]), len(want[h]))
		}
		for i := range min(len(got[h]), len(want[h])) {
			if got[h][i] != want[h][i] {
				t.Fatalf("handle %d, line %d: got %q, want %q", h, i, got[h][i], want[h][i])
			}
		}
	}
}

// Gaps, pieces and marks are stored as they come, and a mark that somebody else has moved stops a batch.
func TestStore(t *testing.T) {
	st, err := openStore(t.Context(), filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	of := receiver.Stream{Sender: receiver.SenderID{1}, Epoch: 1<<64 - 1}
	src := &receiver.Source{Stream: of, Host: "h"}
	high := receiver.Mark{Seq: 9, Chain: 1<<64 - 3}
	b := &receiver.Batch{
		Chunks: []receiver.Chunk{
			{Seq: 8, Source: src, File: &receiver.File{Path: "p"}, Writer: &receiver.Writer{}, Data: []byte("half of a li"), Continued: true},
			{Seq: 9, Source: src, Gap: &receiver.Gap{First: 9, Reason: receiver.QueueFull, Bytes: 3}},
		},
		Advances: []receiver.Advance{{Stream: of, To: high}},
	}
	if err := st.Put(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if m, err := st.Mark(t.Context(), of); m != high || err != nil {
		t.Errorf("got mark %v, %v, want %v", m, err, high)
	}
	if err := st.Put(t.Context(), b); !errors.Is(err, errMoved) {
		t.Errorf("the same batch again: got %v, want %v", err, errMoved)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := st.Put(ended, b); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	var lines, gaps, continued int
	var reason string
	row := st.db.QueryRow(`SELECT (SELECT count(*) FROM lines), (SELECT count(*) FROM gaps), (SELECT continued FROM lines), (SELECT reason FROM gaps)`)
	if err := row.Scan(&lines, &gaps, &continued, &reason); err != nil || lines != 1 || gaps != 1 || continued != 1 || reason != "queue_full" {
		t.Errorf("got %d lines, %d gaps, continued %d, %q, %v", lines, gaps, continued, reason, err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-listen", "nowhere", "-database", filepath.Join(t.TempDir(), "x")}, {"-database", "/nowhere/x"}, {"-frob"}} {
		var said strings.Builder
		if code := run(args, &said); code == 0 || said.Len() == 0 {
			t.Errorf("%q: got exit status %d, %q", args, code, said.String())
		}
	}
}
