package e2e

import (
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"ftfuse/internal/netlab"
)

// program is the real ftfuse, built for these tests: with the race detector when they have it and FTFUSE_RACE says so. It
// starts five times as fast without, and packages look for races in tests of their own.
var program string

// actor is the programs beside it (internal/e2e/actor), without the race detector.
var actor string

// raced reports whether program has the race detector.
func raced() bool { return raceEnabled && os.Getenv("FTFUSE_RACE") != "" }

func TestMain(m *testing.M) {
	os.Exit(netlab.Isolate(func() int { return buildAndRun(m) }))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ftfuse-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program, actor = filepath.Join(dir, "ftfuse"), filepath.Join(dir, "actor")
	if err := buildPlain(actor, "internal/e2e/actor", ""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if raced() {
		if out, err := exec.Command("go", "build", "-race", "-o", program, "ftfuse/cmd/ftfuse").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build ftfuse with the race detector: %v\n%s", err, out)
			return 1
		}
	} else if err := buildPlain(program, "cmd/ftfuse", ""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// killable returns the program that can be killed at any point of a request (internal/mount, build tag killpoints).
func killable(t *testing.T) string {
	t.Helper()
	return built(t, buildKillable)
}

// nimble returns the program without the race detector: it starts five times as fast, for tests that start it hundreds of
// times and look for races elsewhere.
func nimble(t *testing.T) string {
	t.Helper()
	return built(t, buildNimble)
}

func built(t *testing.T, build func() (string, error)) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var (
	buildKillable = sync.OnceValues(func() (string, error) {
		path := program + "-killable"
		return path, buildPlain(path, "cmd/ftfuse", "killpoints")
	})
	buildNimble = sync.OnceValues(func() (string, error) {
		if !raced() {
			return program, nil
		}
		path := program + "-plain"
		return path, buildPlain(path, "cmd/ftfuse", "")
	})
)

// buildPlain builds a program with these tags and no race detector, as `make build` does: most of it is built already then.
func buildPlain(path, folder, tags string) error {
	c := exec.Command("go", "build", "-trimpath", "-tags", tags, "-o", path, "ftfuse/"+folder)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s without the race detector, tags %q: %w: %s", folder, tags, err, out)
	}
	return nil
}

// soak is the number of misfortunes: as many times n as FTFUSE_SOAK says, half of n where it says nothing: all tests
// together are to end within half an hour on two processors, with the race detector.
func soak(n int) int {
	if k := soaks(); k > 0 {
		return n * k
	}
	return max(n/2, min(n, 4))
}

// soaks is what FTFUSE_SOAK says, 0 for nothing.
func soaks() int {
	k, err := strconv.Atoi(os.Getenv("FTFUSE_SOAK"))
	if err != nil {
		return 0
	}
	return k
}

// random returns a source whose seed is printed, and can be given again in FTFUSE_SEED.
func random(t *testing.T) *rand.Rand {
	seed := time.Now().UnixNano()
	if v, err := strconv.ParseInt(os.Getenv("FTFUSE_SEED"), 10, 64); err == nil {
		seed = v
	}
	t.Logf("seed: FTFUSE_SEED=%d", seed)
	return rand.New(rand.NewSource(seed))
}
