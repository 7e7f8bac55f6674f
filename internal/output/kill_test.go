package output

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"ftfuse/internal/ledger"
	"ftfuse/internal/record"
)

// The child is a receiver with a sender built in: it opens the output, asks for the marks of its streams and puts
// everything after them, saying on stdout what it opened with and what was answered. Its input is a function of
// (stream, sequence), so that the parent knows what the files must hold.
const childEnv = "FTFUSE_OUTPUT_CHILD"

const (
	killStreams = 3
	killFiles   = 3
)

type childOptions struct {
	Base, State, Step, Format string
	Disk                      bool
	Rotate                    Rotate
	Until                     uint64 // last sequence of each stream
	Seed                      uint64
}

var filler = strings.Repeat("x", 2000) + "\n"

// killChunk is the chunk of a stream at a sequence: a few short or many long numbered lines for one of three files.
func killChunk(src *record.Source, k int, seq uint64) record.Chunk {
	lines, pad := 1+int(seq*2654435761>>7)%7, int(seq)%90
	if seq%5 == 0 {
		lines, pad = lines*70, int(seq*7919)%1900
	}
	b := make([]byte, 0, lines*(pad+30)) // grown by and by, it would be most of what these tests cost
	for i := range lines {
		b = strconv.AppendInt(b, int64(k), 10)
		b = strconv.AppendUint(append(b, ' '), seq, 10)
		b = strconv.AppendInt(append(b, ' '), int64(i), 10)
		b = append(append(b, ' '), filler[len(filler)-1-pad:]...)
	}
	return chunk(src, seq, "f"+strconv.Itoa(int(seq%killFiles)), string(b))
}

func child() int {
	var c childOptions
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &c); err != nil {
		return 2
	}
	led, _, err := ledger.Open(ledger.Options{Dir: c.State, WriteBuffer: 64 << 10})
	if err != nil {
		fmt.Println("error", err)
		return 2
	}
	o := Options{Base: c.Base, Path: "{path}", Format: c.Format, Disk: c.Disk, Rotate: c.Rotate, Book: led.Book("o")}
	o.step = func(s string) {
		if s == c.Step {
			unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	}
	out, err := Open(o)
	if err != nil {
		fmt.Println("error", err)
		return 2
	}
	s := out.Stats()
	fmt.Println("settled", s.Finished, s.Cut, s.Uncertain, s.Unowned)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- out.Run(ctx) }()
	err = feed(out, c)
	for err == nil && pending(out, c) {
		time.Sleep(time.Millisecond) // the compressor is at work; the parent has a deadline
	}
	stop()
	<-ended
	out.Close()
	led.Close()
	if err != nil {
		fmt.Println("error", err)
		return 2
	}
	fmt.Println("done")
	return 0
}

func feed(out *Output, c childOptions) error {
	rnd := rand.New(rand.NewPCG(c.Seed, 1))
	var next [killStreams]uint64
	var src [killStreams]*record.Source
	ready := [killStreams]map[uint64]record.Chunk{} // made beforehand, so that most kills hit an append
	for k := range src {
		src[k], ready[k] = source(byte(k+1)), map[uint64]record.Chunk{}
		next[k] = out.Mark(src[k].Stream).Seq + 1
		for seq := next[k]; seq <= min(next[k]+50, c.Until); seq++ {
			ready[k][seq] = killChunk(src[k], k, seq)
		}
	}
	fmt.Printf("mark 0 %d\nmark 1 %d\nmark 2 %d\n", next[0]-1, next[1]-1, next[2]-1)
	for {
		var put []record.Chunk
		for k := range src {
			for n := rnd.IntN(10); n > 0 && next[k] <= c.Until; n-- {
				made, ok := ready[k][next[k]]
				if !ok {
					made = killChunk(src[k], k, next[k])
				}
				put = append(put, made)
				next[k]++
			}
		}
		if len(put) == 0 && next == [killStreams]uint64{c.Until + 1, c.Until + 1, c.Until + 1} {
			return nil
		}
		if err := out.Put(context.Background(), put); err != nil {
			return err
		}
		fmt.Printf("ack 0 %d\nack 1 %d\nack 2 %d\n", next[0]-1, next[1]-1, next[2]-1)
	}
}

func pending(out *Output, c childOptions) bool {
	files, err := out.closedFiles()
	for _, f := range files {
		if out.wantsPacking(&f.Closed) {
			return err == nil
		}
	}
	return false
}

// run starts a child, lets watch see each line it says and says how it ended: true after "done".
func runChild(t *testing.T, c childOptions, after time.Duration, watch func(string)) bool {
	t.Helper()
	arg, err := json.Marshal(c)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(arg))
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	done, killer := false, (*time.Timer)(nil)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if killer == nil && after > 0 && strings.HasPrefix(lines.Text(), "mark") {
			killer = time.AfterFunc(after, func() { cmd.Process.Kill() })
		}
		if strings.HasPrefix(lines.Text(), "error") {
			t.Errorf("child: %s", lines.Text())
		}
		done = done || lines.Text() == "done"
		watch(lines.Text())
	}
	if killer != nil {
		killer.Stop()
	}
	cmd.Wait()
	if ctx.Err() != nil {
		t.Fatalf("child did not end: %v", ctx.Err())
	}
	return done
}

// acks checks over all lives of the child that no mark is behind an answer.
type acks struct {
	t     *testing.T
	acked [killStreams]uint64

	finished, cut int // settled lives
}

func (a *acks) watch(line string) {
	var k int
	var seq uint64
	if _, err := fmt.Sscanf(line, "ack %d %d", &k, &seq); err == nil {
		a.acked[k] = seq
	} else if _, err := fmt.Sscanf(line, "mark %d %d", &k, &seq); err == nil && seq < a.acked[k] {
		a.t.Errorf("stream %d: mark %d after %d was answered for", k, seq, a.acked[k])
	}
	var finished, cut, uncertain, unowned int
	if _, err := fmt.Sscanf(line, "settled %d %d %d %d", &finished, &cut, &uncertain, &unowned); err == nil {
		a.finished += finished
		a.cut += min(cut, 1)
		if uncertain+unowned > 0 {
			a.t.Errorf("a kill left doubt: %s", line)
		}
	}
}

// checkKill reads all files and wants every line of every stream once, in order within each file name.
func checkKill(t *testing.T, base string, until uint64) {
	t.Helper()
	var got [killStreams][]string
	for j := range killFiles {
		for line := range strings.Lines(history(t, base, "f"+strconv.Itoa(j))) {
			k := int(line[0] - '0')
			if k < 0 || k >= killStreams {
				t.Fatalf("torn line %q", clip(line))
			}
			got[k] = append(got[k], line)
		}
		for k := range killStreams {
			i := 0
			for seq := uint64(1); seq <= until; seq++ {
				if seq%killFiles != uint64(j) {
					continue
				}
				c := killChunk(source(byte(k+1)), k, seq)
				for want := range strings.Lines(string(c.Data)) {
					if i >= len(got[k]) || got[k][i] != want {
						t.Fatalf("f%d, stream %d, line %d: got %q, want %q", j, k, i, clip(strings.Join(got[k][min(i, len(got[k])):min(i+1, len(got[k]))], "")), clip(want))
					}
					i++
				}
			}
			if i != len(got[k]) {
				t.Fatalf("f%d, stream %d: got %d lines, want %d", j, k, len(got[k]), i)
			}
			got[k] = nil
		}
	}
}

// history joins the rotated files of a name and the file itself, oldest first.
func history(t *testing.T, base, name string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(base, name+"-*"))
	must(t, err)
	sortByNumber(names)
	var all strings.Builder
	for _, n := range append(names, filepath.Join(base, name)) {
		f, err := os.Open(n)
		if os.IsNotExist(err) && !strings.Contains(n, name+"-") {
			continue
		}
		must(t, err)
		var r io.Reader = f
		if strings.HasSuffix(n, ".zst") {
			z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
			must(t, err)
			defer z.Close()
			r = z
		}
		_, err = io.Copy(&all, r)
		must(t, err)
		f.Close()
	}
	return all.String()
}

func TestKillsAtRandom(t *testing.T) {
	const kills = 20 // of each kind
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for name, c := range map[string]childOptions{
		"os":             {},
		"disk":           {Disk: true},
		"rotated packed": {Rotate: Rotate{Size: 1 << 20, Compress: "zstd", Rate: 1 << 40}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, uint64(len(name))))
			c.Base, c.State = t.TempDir(), t.TempDir()
			a := &acks{t: t}
			c.Until = 1 << 40
			for range kills {
				c.Seed = rnd.Uint64()
				if runChild(t, c, time.Duration(rnd.IntN(50_000_000)), a.watch) {
					t.Fatal("the child ended by itself")
				}
			}
			c.Until = slices.Max(a.acked[:]) + 20 // what the last life had under way included
			if !runChild(t, c, 0, a.watch) {
				t.Fatal("the last child did not finish")
			}
			t.Logf("%d kills: %d times an append was finished, %d times cut back", kills, a.finished, a.cut)
			checkKill(t, c.Base, c.Until)
			temps, _ := filepath.Glob(filepath.Join(c.Base, ownName+"*"))
			if len(temps) > 0 {
				t.Errorf("left over: %v", temps)
			}
		})
	}
}

func TestKillAtEveryStep(t *testing.T) {
	for _, step := range []string{
		"intent", "run", "written", "synced", "committed", "move", "renamed", "moved",
		"packing", "packed", "placed", "unlinked",
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			c := childOptions{
				Base: t.TempDir(), State: t.TempDir(), Until: 60, Disk: true, Seed: 7, Step: step,
				Rotate: Rotate{Size: 64 << 10, Compress: "zstd", Rate: 1 << 40},
			}
			a := &acks{t: t}
			if runChild(t, c, 0, a.watch) {
				t.Fatalf("step %s was never reached", step)
			}
			runChild(t, c, 0, a.watch) // and once more, from what the first left
			c.Step = ""
			if !runChild(t, c, 0, a.watch) {
				t.Fatal("the last child did not finish")
			}
			checkKill(t, c.Base, c.Until)
			temps, _ := filepath.Glob(filepath.Join(c.Base, ownName+"*"))
			plain, _ := filepath.Glob(filepath.Join(c.Base, "f*-[0-9]*[0-9]"))
			if len(temps) > 0 || len(plain) > 0 {
				t.Errorf("left over: %v, not compressed: %v", temps, plain)
			}
		})
	}
}
