package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/control"
)

// severalOf makes receivers, and has the sender's target main send to them by a policy.
func (s *site) severalOf(n int, policy string) (list []*site) {
	s.t.Helper()
	for range n {
		list = append(list, newSite(s.t))
	}
	s.members = membersOf(policy, list...)
	return list
}

// membersOf is a target's keys for receivers that are called a, b, c and so on; the first one weighs as much as all others.
func membersOf(policy string, list ...*site) string {
	var members []string
	for i, r := range list {
		weight := 1
		if i == 0 && strings.HasPrefix(policy, "balance") {
			weight = len(list) - 1
		}
		members = append(members, fmt.Sprintf("{name: %c, address: %q, weight: %d}", 'a'+i, r.addr, weight))
	}
	return fmt.Sprintf("policy: %s, members: [%s]", policy, strings.Join(members, ", "))
}

// member returns how the sender sees a member of its target main.
func (s *site) member(name string) (p control.PeerStatus) {
	s.t.Helper()
	if st := s.status("sender").Sender; st != nil {
		for _, p := range st.Peers {
			if p.Target == "main" && p.Member == name {
				return p
			}
		}
	}
	return p
}

// group returns how the sender sees its target main as a whole.
func (s *site) group() (g control.TargetStatus) {
	s.t.Helper()
	if st := s.status("sender").Sender; st != nil && len(st.Targets) > 0 {
		return st.Targets[0]
	}
	return g
}

// between holds receivers that share what comes to the oracle: every line that was written is at one of them, at none of them
// twice, in order there, and at two of them only as far as the sender says that it may be.
func (s *site) between(l []*load, receivers ...*site) {
	s.t.Helper()
	doubled := uint64(0)
	for _, w := range l {
		at := map[string]int{}
		for _, r := range receivers {
			last := 0
			for line := range strings.Lines(r.received(w.file)) {
				var id string
				var n int
				if _, err := fmt.Sscan(line, &id, &n); err != nil || id != w.id || n <= last {
					s.t.Fatalf("%s at %s: line %s after number %d", w.file, r.addr, brief(line), last)
				}
				last = n
				at[line]++
			}
		}
		wrote := w.lines(w.most())
		for _, n := range w.ok {
			switch k := at[wrote[n]]; {
			case k == 0:
				s.t.Fatalf("%s: line %d is at no receiver", w.file, n)
			case k > 1:
				doubled += uint64(k - 1)
			}
		}
	}
	if said := s.group().Uncertain.Records; doubled > said {
		s.t.Errorf("%d lines are at two receivers, the sender says that %d may be", doubled, said)
	}
}

// fewLoads are writers with a file each.
func (s *site) fewLoads(n int) (l []*load) {
	for i := range n {
		l = append(l, s.load(fmt.Sprintf("w%d", i), fmt.Sprintf("w%d.log", i), "-pause", "1ms"))
	}
	return l
}

// The first receiver is killed; the second has everything from then on, until the first has been back for a while.
func TestFailover(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	list := s.severalOf(2, "failover")
	s.mainX = ", hand_over: 200ms, return_after: 500ms"
	first, second := list[0], list[1]
	first.startReceiver()
	second.startReceiver()
	s.startSender()
	l := s.fewLoads(2)
	s.getsMore(first) // at first it may be the second, if the first is not reached within hand_over
	before := s.group().HandOvers
	first.receiver.kill()
	s.until("it is handed over", 20*time.Second, func() bool { return s.group().HandOvers > before })
	s.getsMore(second)
	first.startReceiver()
	s.until("the first is active again", 20*time.Second, func() bool { return s.member("a").Role == "active" })
	s.getsMore(first)
	for _, w := range l {
		w.end(t)
	}
	s.captured(l)
	s.drained()
	s.between(l, list...)
	s.until("the second stands by", 20*time.Second, func() bool { p := s.member("b"); return p.Role == "standby" && p.Receiver != "" })
}

// getsMore waits until more of the first writer's lines come to a receiver.
func (s *site) getsMore(r *site) {
	s.t.Helper()
	had := len(r.received("w0.log"))
	s.until("more comes to "+r.addr, 20*time.Second, func() bool { return len(r.received("w0.log")) > had })
}

// Three receivers have shares by their weights; one is killed, and the others have its share from then on.
func TestBalance(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	list := s.severalOf(3, "balance")
	s.mainX = ", hand_over: 200ms, return_after: 500ms"
	for _, r := range list {
		r.startReceiver()
	}
	s.startSender()
	for _, name := range []string{"a", "b", "c"} {
		s.until("member "+name+" is ready", 20*time.Second, func() bool { return s.member(name).Role == "ready" })
	}
	s.weighed(list)
	l := s.fewLoads(12)
	for _, w := range l {
		s.until("lines of "+w.id+" arrive", 20*time.Second, func() bool {
			return slices.ContainsFunc(list, func(r *site) bool { return r.received(w.file) != "" })
		})
	}
	list[1].receiver.kill()
	s.until("others stand in", 20*time.Second, func() bool { return s.group().HandOvers > 0 })
	for _, w := range l {
		w.end(t)
	}
	s.until("all is delivered", 60*time.Second, func() bool { return s.askDrained() == nil })
	s.between(l, list...)
}

// weighed has the first receiver, which weighs as much as both others, get as much. A handle's data has one of 64 places by
// chance, so it takes many handles: of 1,200 the first gets 300 more than each other, with a deviation of 29.
func (s *site) weighed(list []*site) {
	s.t.Helper()
	const handles, more = 1200, 150
	s.sh(fmt.Sprintf("n=0; while [ $n -lt %d ]; do n=$((n+1)); echo $n >> many.log; done", handles))
	sum, lines := 0, make([]int, len(list))
	s.until("all of many.log arrives", 20*time.Second, func() bool {
		sum = 0
		for i, r := range list {
			lines[i] = strings.Count(r.received("many.log"), "\n")
			sum += lines[i]
		}
		return sum >= handles
	})
	if sum != handles || lines[0] < lines[1]+more || lines[0] < lines[2]+more {
		s.t.Errorf("the receivers have %d lines, want %d in all, and the first %d more than the others", lines, handles, more)
	}
}

// A receiver that is added by reload gets a share of the files; every other file stays where it is.
func TestHash(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	list := s.severalOf(3, "hash, hash: path")
	two := membersOf("hash, hash: path", list[:2]...)
	three := s.members
	s.members = two
	for _, r := range list {
		r.startReceiver()
	}
	s.startSender()
	for _, name := range []string{"a", "b"} { // of one that is not reached in time others would have the files
		s.until("member "+name+" is connected", 20*time.Second, func() bool { p := s.member(name); return p.Connected() })
	}
	const files = 40
	write := func(round int) {
		for i := range files {
			s.sh(fmt.Sprintf("echo round %d >> %s/f%d.log", round, s.mnt, i))
		}
		s.until("all is captured", 20*time.Second, func() bool { return s.flowing("rest", "main").Captured.Records == uint64(round*files) })
		s.drained()
	}
	write(1)
	if said := s.withMembers(three); !strings.Contains(said, "target main has other members") {
		t.Errorf("the reload said %s", said)
	}
	s.until("the third is connected", 20*time.Second, func() bool { p := s.member("c"); return p.Connected() })
	write(2)
	moved := 0
	for i := range files {
		name, was := fmt.Sprintf("f%d.log", i), list[0]
		if list[1].received(name) != "" {
			was = list[1]
		}
		switch third := list[2].received(name); {
		case third == "round 2\n" && was.received(name) == "round 1\n":
			moved++
		case third != "" || was.received(name) != "round 1\nround 2\n":
			t.Errorf("%s: a has %q, b has %q, c has %q", name, list[0].received(name), list[1].received(name), third)
		}
	}
	if moved == 0 || moved > files*2/3 {
		t.Errorf("%d of %d files moved to the third receiver, want about a third of them", moved, files)
	}
	if u := s.group().Uncertain; u != (control.Count{}) {
		t.Errorf("nothing was under way, and %+v may be at two receivers", u)
	}
}

// withMembers reloads the sender with other members.
func (s *site) withMembers(members string) string {
	s.t.Helper()
	s.members = members
	return s.reloaded("sender")
}

// firstStep is how much untilDropped writes to a file at once.
const firstStep = 8 << 10

// untilDropped writes to two files until more was dropped for the dead member b than its backlog and the first step, and returns what
// was written. No more is written before the living one has it: it has the same bound.
func (s *site) untilDropped(living *site, backlog int) map[string]string {
	s.t.Helper()
	wrote := map[string]string{}
	for step := range 200 {
		for _, file := range []string{"one.log", "two.log"} {
			text := ""
			for len(text) < firstStep {
				text += fmt.Sprintf("%s %6d %5d %s\n", file, step, len(text), strings.Repeat("x", 100))
			}
			s.sh(fmt.Sprintf("cat %s >> %s", s.write("step", text), file))
			wrote[file] += text
			living.expect(file, wrote[file])
		}
		if s.flow("rest", "main/b").Dropped.Total().Bytes > uint64(max(backlog, 3*firstStep)) {
			return wrote
		}
	}
	s.t.Fatalf("little is dropped for the dead one, of %d bytes each", len(wrote["one.log"]))
	return nil
}

// Each receiver of a broadcast has everything at its own pace; what waits for a dead one has a bound of its own.
func TestBroadcast(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	list := s.severalOf(2, "broadcast")
	s.mainX = ", backlog: 64KiB"
	list[0].startReceiver()
	s.startSender()
	wrote := s.untilDropped(list[0], 64<<10)
	s.sh("echo last >> last.log")
	list[0].expect("last.log", "last\n")
	list[1].startReceiver()
	list[1].expect("last.log", "last\n")
	s.drained()
	for file, all := range wrote {
		if got := list[1].received(file); !strings.HasSuffix(all, got) || len(got) > len(all)-firstStep {
			t.Errorf("%s at the late receiver: got %s, want an end of %s without its first %d bytes", file, brief(got), brief(all), firstStep)
		}
	}
	for _, f := range s.status("sender").Sender.Flows {
		if !f.Balanced() || f.Target == "main/a" && f.Delivered != f.Captured {
			t.Errorf("flow %+v does not add up", f)
		}
	}
	said := s.withMembers(membersOf("broadcast", list[0]))
	if !strings.Contains(said, "main/b ended; what waits for it stays queued until `ftfuse queue purge cursor:main/b`") || strings.Contains(said, "main/a begun") {
		t.Errorf("the reload said %s", said)
	}
	if err := os.WriteFile(filepath.Join(s.mnt, "more.log"), []byte("more\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	list[0].expect("more.log", "more\n")
}
