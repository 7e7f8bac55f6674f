package capture

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// watcher wakes the follower when an idle spool is written to: one inotify event each, after which the spool is
// polled, because a watch that stays doubles the cost of every write. A nil watcher watches nothing.
type watcher struct {
	f    *os.File
	wake func()
	done chan struct{}

	mu   sync.Mutex // guards the rest; held from the reading of events until they are noted
	buf  [64 * unix.SizeofInotifyEvent]byte
	byWd map[int]*raw
	wds  map[*raw]int
	hit  []*raw
	lost bool // the kernel dropped events: any spool may have been written to
}

func newWatcher(wake func()) (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch spools: %w", err)
	}
	w := &watcher{f: os.NewFile(uintptr(fd), "inotify"), wake: wake, done: make(chan struct{}), byWd: map[int]*raw{}, wds: map[*raw]int{}}
	go w.read()
	return w, nil
}

// close ends the reading goroutine and waits for it.
func (w *watcher) close() {
	if w != nil {
		w.f.Close() // a pollable descriptor: ends the read
		<-w.done
	}
}

// read wakes the follower for what the kernel says, until the watcher is closed.
func (w *watcher) read() {
	defer close(w.done)
	raw, err := w.f.SyscallConn()
	if err != nil {
		return // closed already
	}
	for {
		hit := false
		err := raw.Read(func(fd uintptr) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			hits, lost := len(w.hit), w.lost
			w.drain(int(fd))
			hit = len(w.hit) > hits || w.lost != lost
			return hit // else the follower was faster
		})
		if err != nil {
			return
		}
		if hit {
			w.wake()
		}
	}
}

// drain notes what the kernel has to say by now. Called with mu held.
func (w *watcher) drain(fd int) {
	for {
		n, err := unix.Read(fd, w.buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 { // EAGAIN: that was all
			return
		}
		for b := w.buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			ev := (*unix.InotifyEvent)(unsafe.Pointer(&b[0]))
			if ev.Mask&unix.IN_Q_OVERFLOW != 0 {
				w.lost = true
			}
			if r := w.byWd[int(ev.Wd)]; r != nil {
				w.hit = append(w.hit, r)
				delete(w.byWd, int(ev.Wd))
				delete(w.wds, r)
			}
			b = b[unix.SizeofInotifyEvent+int(ev.Len):]
		}
	}
}

// add watches a spool for one event; false when the kernel has no room for another watch.
func (w *watcher) add(r *raw) bool {
	if w == nil {
		return false
	}
	w.mu.Lock() // across the call: the event may come before the number is noted
	defer w.mu.Unlock()
	wd, err := unix.InotifyAddWatch(int(w.f.Fd()), r.path, unix.IN_MODIFY|unix.IN_ONESHOT)
	if err != nil {
		return false
	}
	w.byWd[wd], w.wds[r] = r, wd
	return true
}

// forget ends the watch of a spool that is polled again.
func (w *watcher) forget(r *raw) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if wd, ok := w.wds[r]; ok {
		delete(w.wds, r)
		delete(w.byWd, wd)
		// EINVAL when the event has just come: the watch is gone then.
		_, _ = unix.InotifyRmWatch(int(w.f.Fd()), uint32(wd))
	}
}

// woken returns the spools whose event has come; all says that every spool must be looked at, because events were lost. A spool
// that was written to before the call is among them, whether the goroutine that reads has run since or not.
func (w *watcher) woken() (hit []*raw, all bool) {
	if w == nil {
		return nil, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.byWd) > 0 {
		w.drain(int(w.f.Fd()))
	}
	hit, all = w.hit, w.lost
	w.hit, w.lost = nil, false
	return hit, all
}
