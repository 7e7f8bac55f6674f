package e2e

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The writer is a process of its own: it writes numbered lines, one write(2) each, and says on its standard output
// which it was told had been written ("ok N") and which failed ("no N errno"). A line that failed is never repeated:
// it may arrive or not, but not twice.
func writerMain(args []string) int {
	fs := flag.NewFlagSet("writer", flag.ExitOnError)
	path := fs.String("path", "", "file")
	id := fs.String("id", "w", "name of the writer, first word of each line")
	pause := fs.Duration("pause", 0, "between lines")
	reopen := fs.Int("reopen", 0, "open anew after so many lines")
	pad := fs.Int("pad", 100, "longest padding")
	flags := fs.Int("flags", syscall.O_WRONLY|syscall.O_APPEND|syscall.O_CREAT, "of open")
	again := fs.Bool("again", false, "after an error open again until it works")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if raceEnabled && soaks() == 0 && *pause < time.Millisecond { // what runs beside has two processors, and takes several times as long
		*pause *= 20
	}
	stop := make(chan struct{})
	go func() { // the parent closes standard input to end us
		bufio.NewReader(os.Stdin).ReadByte()
		close(stop)
	}()
	w := &writer{path: *path, id: *id, flags: *flags, again: *again, out: bufio.NewWriter(os.Stdout), stop: stop}
	defer w.out.Flush()
	rnd := rand.New(rand.NewSource(1))
	defer func() { fmt.Fprintf(w.out, "longest %d\n", w.longest) }()
	for n := 1; ; n++ {
		select {
		case <-stop:
			w.close()
			return 0
		default:
		}
		if *reopen > 0 && n%*reopen == 0 {
			w.close()
		}
		began := time.Now()
		w.line(n, rnd.Intn(*pad+1))
		w.longest = max(w.longest, time.Since(began))
		if *pause >= 10*time.Millisecond || n == 1 { // who waits until something was written does not wait for a full buffer
			w.out.Flush()
		}
		if *pause > 0 {
			time.Sleep(*pause)
		}
	}
}

type writer struct {
	path, id string
	flags    int
	again    bool
	fd       int
	out      *bufio.Writer
	stop     chan struct{}
	longest  time.Duration // of one line
}

func (w *writer) line(n, pad int) {
	if w.fd == 0 && !w.open(n) {
		return
	}
	text := lineOf(w.id, n, pad)
	got, err := syscall.Write(w.fd, []byte(text))
	for tries := 0; err == nil && got < len(text); tries++ { // a full disk takes what fits; programs write the rest when they can
		var more int
		if more, err = syscall.Write(w.fd, []byte(text[got:])); err == syscall.ENOSPC && tries < 60000 { // also when it is to stop
			time.Sleep(time.Millisecond)
			err = nil
			continue
		}
		got += max(more, 0)
	}
	if err == nil {
		fmt.Fprintf(w.out, "ok %d\n", n)
		return
	}
	fmt.Fprintf(w.out, "no %d %v\n", n, err)
	w.close()
}

func lineOf(id string, n, pad int) string {
	return fmt.Sprintf("%s %d %s\n", id, n, strings.Repeat("x", pad))
}

func (w *writer) open(n int) bool {
	for {
		fd, err := syscall.Open(w.path, w.flags|syscall.O_CLOEXEC, 0o644)
		if err == nil {
			w.fd = fd
			return true
		}
		if !w.again {
			fmt.Fprintf(w.out, "open %d %v\n", n, err)
			return false
		}
		select {
		case <-w.stop:
			return false
		case <-time.After(time.Millisecond):
		}
	}
}

func (w *writer) close() {
	if w.fd != 0 {
		if err := syscall.Close(w.fd); err != nil {
			fmt.Fprintf(w.out, "close 0 %v\n", err)
		}
		w.fd = 0
	}
}

// load is a writer process as its parent sees it.
type load struct {
	id   string
	file string // relative to the mount
	cmd  *exec.Cmd
	in   interface{ Close() error }

	pad     int  // longest padding of its lines
	lossy   bool // lines may be missing
	reopens bool // order is promised within a handle, and a dead sender makes the writer open another
	mu      sync.Mutex
	ok      []int          // lines that write(2) has returned for
	failed  map[int]string // lines that failed
	other   []string       // errors of open and close
	longest time.Duration  // that one line took
	done    chan struct{}
	text    []string // its lines, for the oracle of a fleet
}

func (s *site) load(id, file string, args ...string) *load {
	s.t.Helper()
	if s.pad > 0 {
		args = append([]string{"-pad", strconv.Itoa(s.pad)}, args...)
	}
	return startLoad(s.t, s.mnt, id, file, args...)
}

// startLoad starts a writer of a file below a mount.
func startLoad(t *testing.T, mnt, id, file string, args ...string) *load {
	t.Helper()
	l := &load{id: id, file: file, pad: 100, failed: map[int]string{}, done: make(chan struct{})}
	if i := slices.Index(args, "-pad"); i >= 0 {
		l.pad, _ = strconv.Atoi(args[i+1])
	}
	l.cmd = exec.Command(os.Args[0], append([]string{"-path", mnt + "/" + file, "-id", id}, args...)...)
	l.cmd.Env = append(os.Environ(), "FTFUSE_WRITER=1")
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	l.cmd.Stderr = os.Stderr
	out, err := l.cmd.StdoutPipe()
	if err == nil {
		l.in, err = l.cmd.StdinPipe()
	}
	if err == nil {
		err = l.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go l.listen(bufio.NewScanner(out))
	return l
}

func (l *load) listen(sc *bufio.Scanner) {
	defer close(l.done)
	for sc.Scan() {
		word := strings.SplitN(sc.Text(), " ", 3)
		n, _ := strconv.Atoi(word[1])
		l.mu.Lock()
		switch word[0] {
		case "ok":
			l.ok = append(l.ok, n)
		case "no":
			l.failed[n] = word[2]
		case "longest":
			l.longest = time.Duration(n)
		default:
			l.other = append(l.other, sc.Text())
		}
		l.mu.Unlock()
	}
}

// end stops the writer and returns how many lines it wrote.
func (l *load) end(t *testing.T) int {
	t.Helper()
	l.in.Close()
	<-l.done
	if err := l.cmd.Wait(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Errorf("writer %s: %v", l.id, err)
	}
	return len(l.ok)
}

// form says what becomes of a line on its way to one file: its text there, "" if it does not come.
type form func(n int, line string) string

func unchanged(_ int, line string) string { return line }

// lines returns what the writer writes, or wrote, line by line: its n-th line is the n-th element.
func (l *load) lines(most int) []string {
	rnd, all := rand.New(rand.NewSource(1)), make([]string, most+1) // as writerMain
	for n := 1; n <= most; n++ {
		all[n] = lineOf(l.id, n, rnd.Intn(l.pad+1))
	}
	return all
}

// most is the number of the last line that the writer tried to write.
func (l *load) most() (n int) {
	for _, k := range l.ok {
		n = max(n, k)
	}
	for k := range l.failed {
		n = max(n, k)
	}
	return n
}

// check is the oracle: what write(2) returned for is in text once, in order; what failed is there at most once.
func (l *load) check(t *testing.T, text string) {
	t.Helper()
	l.checkAs(t, text, unchanged)
}

// checkAs is check for a file where not every line is to come, or not as it was written.
func (l *load) checkAs(t *testing.T, text string, as form) {
	t.Helper()
	wrote := l.lines(l.most())
	last, at := 0, map[int]int{}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, l.id+" ") {
			continue
		}
		n := numberOf(line)
		if n < 1 || n >= len(wrote) || line != as(n, wrote[n]) {
			t.Errorf("writer %s: line %q is damaged, or should not be there", l.id, line)
			continue
		}
		at[n]++
		if n <= last && !l.reopens {
			t.Errorf("writer %s: line %d after %d", l.id, n, last)
		}
		last = n
	}
	lost := 0
	for _, n := range l.ok {
		if at[n] == 0 && !l.lossy && as(n, wrote[n]) != "" {
			if lost++; lost <= 5 {
				t.Errorf("writer %s: line %d of %d is lost", l.id, n, len(l.ok))
			}
		}
	}
	for n, k := range at {
		if k > 1 {
			t.Errorf("writer %s: line %d came %d times", l.id, n, k)
		}
	}
	if lost > 5 {
		t.Errorf("writer %s: %d lines are lost in all", l.id, lost)
	}
}

// numberOf returns the number of a writer's line, 0 if it has none.
func numberOf(line string) int {
	word := strings.SplitN(line, " ", 3)
	if len(word) != 3 {
		return 0
	}
	n, _ := strconv.Atoi(word[1])
	return n
}

// arrived reports whether the last line that was written is at the receiver.
func (s *site) arrived(l *load) bool {
	if len(l.ok) == 0 {
		return true
	}
	return strings.Contains(s.received(l.file), fmt.Sprintf("%s %d ", l.id, l.ok[len(l.ok)-1]))
}
