package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"

	"ftfuse/internal/e2e/numbered"
)

// write writes numbered lines, one write(2) each, until its standard input ends, and says on its standard output which it
// was told had been written ("ok N") and which failed ("no N errno"). A line that failed is never repeated: it may arrive
// or not, but not twice.
func write(args []string) int {
	fs := flag.NewFlagSet("write", flag.ExitOnError)
	path := fs.String("path", "", "file")
	id := fs.String("id", "w", "name of the writer, first word of each line")
	pause := fs.Duration("pause", 0, "between lines")
	reopen := fs.Int("reopen", 0, "open anew after so many lines")
	pad := fs.Int("pad", 100, "longest padding")
	flags := fs.Int("flags", syscall.O_WRONLY|syscall.O_APPEND|syscall.O_CREAT, "of open")
	again := fs.Bool("again", false, "after an error open again until it works")
	slower := fs.Int("slower", 1, "by this factor, if the pause is shorter than a millisecond")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if *pause < time.Millisecond {
		*pause *= time.Duration(*slower)
	}
	stop := make(chan struct{})
	go func() { // the parent closes standard input to end us
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		close(stop)
	}()
	w := &writer{path: *path, flags: *flags, again: *again, out: bufio.NewWriter(os.Stdout), stop: stop}
	lines := numbered.Of(*id, *pad)
	defer w.out.Flush()
	defer func() { fmt.Fprintf(w.out, "longest %d\n", w.longest) }()
	for {
		select {
		case <-stop:
			w.close()
			return 0
		default:
		}
		n, text := lines.Next()
		if *reopen > 0 && n%*reopen == 0 {
			w.close()
		}
		began := time.Now()
		w.line(n, text)
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
	path    string
	flags   int
	again   bool
	fd      int
	out     *bufio.Writer
	stop    chan struct{}
	longest time.Duration // of one line
}

func (w *writer) line(n int, text string) {
	if w.fd == 0 && !w.open(n) {
		return
	}
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
