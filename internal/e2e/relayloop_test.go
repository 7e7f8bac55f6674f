package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/control"
)

// trouble returns the errors of a relay's targets.
func (r *relay) trouble() string {
	st := r.status()
	if st == nil {
		return ""
	}
	var all []string
	for _, p := range st.Receivers {
		all = append(all, p.Error)
	}
	return strings.Join(all, "\n")
}

// Data that comes back is refused, with a reason that names the cure, where it was sent from; it stays there, and goes on when
// the target leads elsewhere.
func TestRelayLoop(t *testing.T) {
	t.Parallel()
	for _, members := range []int{1, 2, 3} { // to itself, and in larger circles
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.startReceiver()
			var ring []*relay
			for i := range members {
				ring = append(ring, s.relayTo(fmt.Sprintf("relay%d", i), "unix:/nowhere", "hop"))
			}
			to := func(r *relay, address string) {
				r.targets = fmt.Sprintf(`[{name: up, address: "%s", backoff: {min: 10ms, max: 50ms}}]`, address)
			}
			for i, r := range ring {
				to(r, ring[(i+1)%members].addr)
				r.start()
			}
			last, final := ring[members-1], s.addr
			s.addr = ring[0].addr
			s.startSender()
			s.sh(`for i in $(seq 100); do echo "line $i" >> a.log; done`)
			s.until("the reason shows", 30*time.Second, func() bool {
				return strings.Contains(last.trouble(), "want targets of relays that do not lead back to")
			})
			s.until("the log of the relay says so", 20*time.Second, func() bool {
				return strings.Contains(last.daemon.all(), "do not lead back to")
			})
			if n := s.queuedAt(last); n == 0 {
				t.Error("the relay does not keep what it could not hand on")
			}
			to(last, final)
			last.reload()
			var want strings.Builder
			for i := range 100 {
				fmt.Fprintf(&want, "line %d\n", i+1)
			}
			s.expect("a.log", want.String())
			s.drainedRelays(ring...)
		})
	}
}

// reload puts the relay's configuration, as it is now, in force.
func (r *relay) reload() {
	r.s.t.Helper()
	r.write()
	if code, said := r.s.ask("receiver", r.name+".yaml"); code != 0 {
		r.s.t.Fatalf("reload of %s: exit code %d, %s", r.name, code, said)
	}
}

func (s *site) queuedAt(r *relay) (n uint64) {
	st := r.status()
	if st == nil {
		return 0
	}
	for _, f := range st.Flows {
		n += f.Queued.Bytes
	}
	return n
}

// Two ways from one relay to one receiver are no loop: the streams of the targets differ, and everything comes by both.
func TestRelayDiamondIsNoLoop(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.startReceiver()
	a, b := s.relayTo("relay1", s.addr, "hop"), s.relayTo("relay2", s.addr, "end")
	a.targets = fmt.Sprintf(`[{name: near, address: "%s"}, {name: far, address: "%s", ack: end}]`, s.addr, b.addr)
	a.start()
	b.start()
	s.addr = a.addr
	s.startSender()
	s.sh(`for i in $(seq 50); do echo "line $i" >> a.log; done`)
	s.until("every line came twice", 30*time.Second, func() bool {
		return strings.Count(s.received("a.log"), "\n") == 100
	})
	s.drainedRelays(a, b)
	if n := strings.Count(s.received("a.log"), "line 50\n"); n != 2 {
		t.Errorf("line 50 came %d times, want 2", n)
	}
}

// A relay whose queue is full takes nothing more, says so, and loses nothing: the sender keeps its data.
func TestRelayQueueFull(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	final := s.addr
	a := s.relayTo("relay1", final, "hop")
	seen := filepath.Join(s.dir, "relay-m.sock")
	a.more = "queue: {max_size: 1MiB, min_free: 0}\nmetrics: {listen: \"unix:" + seen + "\"}"
	a.start()
	s.addr = a.addr
	s.startSender()
	l := s.loads(time.Millisecond, false)
	s.until("the relay says that it is full", 60*time.Second, func() bool {
		st := a.status()
		return st != nil && len(st.Peers) > 0 && strings.Contains(st.Peers[0].Error, "queue is full") &&
			strings.Contains(st.Peers[0].Error, "want less than queue.max_size, which is 1MiB") && st.Queue.State == "full"
	})
	for _, w := range l {
		w.end(t)
	}
	s.answers(seen, http.StatusServiceUnavailable, `"code":"queue_full"`)
	s.exposes(seen, `ftfuse_queue_full{} 1`, `ftfuse_queue_limit_bytes{} 1.048576e+06`)
	if st := s.status("sender").Sender; st.Queue.Bytes == 0 {
		t.Error("nothing waits at the sender")
	}
	s.startReceiverAt(final)
	s.captured(l)
	s.drainedRelays(a)
	s.settled(l)
	s.answers(seen, http.StatusOK, `"status":"ok"`)
}

// A relay filters what it hands on, writes files of its own, and feeds a plug-in; rules say what goes where.
func TestRelayDoesMore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rnd := random(t)
	s.startReceiver()
	a := s.relayTo("relay1", s.addr, "end")
	final := s.addr
	a.outputs = fmt.Sprintf("\n  - {name: files, base: %s/files, path: \"{path}\"}\n  - %s", a.dir, s.keeper("kept", ", ack: true"))
	a.more = `rules:
  - {name: most, match: ["open*.log", "*.wc"], outputs: [up, files], filters: [
      {action: deny, match: '^\S+ \d*[12] '}, {action: allow, match: '^(\S+ \d*7) (x*)$', rewrite: '$1 now $2', targets: [up]}]}`
	a.start()
	s.addr = a.addr
	s.startSender()
	l := s.loads(400*time.Microsecond, false)
	for range soak(4) {
		time.Sleep(time.Duration(rnd.Intn(100)) * time.Millisecond)
		if rnd.Intn(2) == 0 {
			a.daemon.kill()
			a.start()
		} else {
			s.receiver.kill()
			s.startReceiverAt(final)
		}
	}
	for _, w := range l {
		w.end(t)
	}
	s.captured(l)
	s.drainedRelays(a)
	arrived, books := 0, control.Flow{}
	for _, w := range l {
		arrived += strings.Count(s.received(w.file), w.id+" ")
		up, here := unchanged, unchanged
		if strings.HasPrefix(w.file, "open") || strings.HasSuffix(w.file, ".wc") {
			up = func(n int, line string) string {
				switch n % 10 {
				case 1, 2:
					return ""
				case 7:
					return decidedAs["main"](n, line)
				}
				return line
			}
			here = func(n int, line string) string {
				if slices.Contains([]int{1, 2, 7}, n%10) {
					return ""
				}
				return line
			}
		}
		w.checkAs(t, s.received(w.file), up)
		w.checkAs(t, readFile(t, filepath.Join(a.dir, "files", w.file)), here)
	}
	if lives := s.lives("kept"); !slices.ContainsFunc(lives, func(text string) bool { return strings.Contains(text, "shared0 1 ") }) {
		t.Error("the plug-in has not got what no rule matches")
	}
	st := a.status()
	if st.Receivers[0].Acked == (control.Count{}) {
		t.Errorf("status of the target: %+v", st.Receivers[0])
	}
	for _, f := range st.Flows {
		if f.Target == "up" {
			books.Delivered, books.Filtered = books.Delivered.Plus(f.Delivered), books.Filtered.Plus(f.Filtered)
		}
	}
	if int(books.Delivered.Records) != arrived || books.Filtered.Records == 0 {
		t.Errorf("the relay counts %d records as delivered and %d as filtered, and %d have arrived", books.Delivered.Records, books.Filtered.Records, arrived)
	}
}
