package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ftfuse/internal/e2e/numbered"
)

// slower is by how much writers that rest less than a millisecond are slowed down with the race detector: what runs beside
// them has two processors, and takes several times as long.
const slower = 20

// load is a writer (`actor write`) as its parent sees it.
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
	begun   chan struct{}  // closed when it has said something: it says at once what became of its first line
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
	l := &load{id: id, file: file, pad: 100, failed: map[int]string{}, begun: make(chan struct{}), done: make(chan struct{})}
	if i := slices.Index(args, "-pad"); i >= 0 {
		l.pad, _ = strconv.Atoi(args[i+1])
	}
	if raceEnabled && soaks() == 0 {
		args = append(args, "-slower", strconv.Itoa(slower))
	}
	l.cmd = exec.Command(actor, append([]string{"write", "-path", mnt + "/" + file, "-id", id}, args...)...)
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
	begin := sync.OnceFunc(func() { close(l.begun) })
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
		begin()
	}
}

// end stops the writer, when it has begun, and returns how many lines it wrote.
func (l *load) end(t *testing.T) int {
	t.Helper()
	select {
	case <-l.begun:
	case <-l.done:
	case <-time.After(time.Minute): // it finds no mount
	}
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
	next, all := numbered.Of(l.id, l.pad), make([]string, most+1)
	for n := 1; n <= most; n++ {
		_, all[n] = next.Next()
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
