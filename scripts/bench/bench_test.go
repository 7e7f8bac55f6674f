package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ftfuse/internal/secure"
	"ftfuse/internal/wire"
)

func TestVerifySeesEveryDifference(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, c := range []struct{ size, count int }{{2, 25}, {10, 200_000}, {128, 9000}, {4096, 600}} {
		if err := source(path, c.size, c.count); err != nil {
			t.Fatal(err)
		}
		if err := verify(path, c.size, c.count); err != nil {
			t.Errorf("%d lines of %d: %v", c.count, c.size, err)
		}
		for _, n := range []int{c.count - 1, c.count + 1} {
			if verify(path, c.size, n) == nil {
				t.Errorf("%d lines of %d were taken for %d", c.count, c.size, n)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)*2/3] ^= 1
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if verify(path, c.size, c.count) == nil {
			t.Errorf("%d lines of %d: a flipped bit was not seen", c.count, c.size)
		}
	}
}

// TestRedactedLinesAreOthers: what the rule that redacts should leave of a line has its length, and only the lines with a
// secret are others.
func TestRedactedLinesAreOthers(t *testing.T) {
	if len(secretText) != len(hiddenText) {
		t.Fatalf("%q and %q differ in length", secretText, hiddenText)
	}
	path := filepath.Join(t.TempDir(), "f")
	const size, count = 128, 20_000
	if err := newMarked(size, hiddenText).save(path, count); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), hiddenText); n != count/100 {
		t.Errorf("%d lines are marked, want %d", n, count/100)
	}
	if err := newMarked(size, hiddenText).verify(path, count); err != nil {
		t.Error(err)
	}
	if newMarked(size, secretText).verify(path, count) == nil {
		t.Error("redacted lines were taken for those with a secret")
	}
}

func TestFiguresOfBenchmarks(t *testing.T) {
	f := figures{}
	suffix := ""
	if n := runtime.GOMAXPROCS(0); n > 1 {
		suffix = fmt.Sprintf("-%d", n)
	}
	for _, l := range []string{
		"goos: linux\n", "BenchmarkX/a" + suffix + "   \t 100\t 12.5 ns/op\t 3 lines/s\n", "BenchmarkX/a" + suffix + " 100 13.5 ns/op 5 lines/s\n",
		"BenchmarkX/b" + suffix + " 1 1e+06 ns/op\n", "PASS\n",
	} {
		if err := f.take(l); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := f.medians("ns/op", "X/a", "X/b"); err != nil || m[0] != 13 || m[1] != 1e6 {
		t.Errorf("got %v, %v, want 13 and 1e6", m, err)
	}
	if _, err := f.median("X/b", "lines/s"); err == nil {
		t.Error("a figure that was not reported is no error")
	}
	if f.take("BenchmarkX/c 1 many ns/op") == nil {
		t.Error("a figure that is no number is no error")
	}
}

func TestQuick(t *testing.T) {
	o, err := parse([]string{"-rounds", "7", "-quick"})
	if err != nil {
		t.Fatal(err)
	}
	if o.rounds != 7 || o.bytes != 64<<20 || len(o.sizes) != 2 {
		t.Errorf("got %+v, want 7 rounds as given, and 64 MiB and two sizes as quick runs have", o)
	}
}

func TestTransports(t *testing.T) {
	for text, want := range map[string]string{"": "plain TLS", "TLS": "TLS", "tls": ""} {
		var args []string
		if text != "" {
			args = []string{"-transports", text}
		}
		o, err := parse(args)
		if got := strings.Join(o.transports, " "); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
}

// TestSimulatedSendersSpeakTLS: a sender of the fleet and the receiver's side of its certificates know each other, each sender by
// a name of its own.
func TestSimulatedSendersSpeakTLS(t *testing.T) {
	certs, err := newCertificates(t.TempDir(), 2)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	server := secure.New(secure.Options{CA: certs.path("ca.crt"), Cert: certs.path(loopback + ".crt"), Key: certs.path(loopback + ".key"), Side: secure.Listens})
	f := newFleet(t.Context(), l.Addr().String(), 2, certs)
	defer f.close()
	seen := map[string]bool{}
	for range 2 {
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		c, err := server.Server(t.Context(), nc)
		if err != nil {
			t.Fatal(err)
		}
		first, _, err := wire.ReadControl(c, nil)
		if hello, ok := first.(wire.Hello); err != nil || !ok || string(hello.Host) != c.Peer.Name {
			t.Errorf("%s says %+v, %v, want HELLO of its own host", c.Peer.Name, first, err)
		}
		seen[c.Peer.Name] = true
	}
	if !seen[hostName(0)] || !seen[hostName(1)] {
		t.Errorf("got %v, want both senders", seen)
	}
}

func TestLinesAreThoseOfTheWriter(t *testing.T) {
	var got strings.Builder
	err := newLines(14).each(11, func(p []byte) error { got.Write(p); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if want := "000000000010x\n"; !strings.HasSuffix(got.String(), want) || got.Len() != 11*14 {
		t.Errorf("got %q, want eleven lines, the last %q", got.String(), want)
	}
}

func TestKeepReplacesItsPartOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(path, []byte("before\n"+beginMark+"old\n"+endMark+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := report{conditions: []string{"a machine"}, tables: []table{{title: "T", head: []string{"a", "b"}, rows: [][]string{{"1", "2"}}, note: "N"}}}
	want := "before\n" + beginMark + "- a machine\n\n### T\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nN\n" + endMark + "after\n"
	for range 2 {
		if err := r.keep(path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if err := os.WriteFile(path, []byte(beginMark+"no end\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r.keep(path) == nil {
		t.Error("a part without an end was replaced")
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{1.234: "1.23", 12.34: "12.3", 999.4: "999", 1234: "1,234", 1234567: "1,234,567"} {
		if got := number(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
	if m := median([]float64{3, 1, 2}); m != 2 {
		t.Errorf("median of 3: %v", m)
	}
	if m := median([]float64{4, 1, 2, 3}); m != 2.5 {
		t.Errorf("median of 4: %v", m)
	}
}
