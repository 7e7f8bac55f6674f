package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/control"
	"ftfuse/internal/netlab"
)

// fleet is senders, relays and receivers, each on a host of its own.
type fleet struct {
	t        *testing.T
	dir      string // short: there are sockets below it
	net      *netlab.Network
	program  string // that all run
	stations []*station
	called   []*station // what DNS has answered with at first, for a name that stands for several
}

// station is a host with its disk and the process that it runs: a sender, or a receiver, which is a relay if it sends on.
type station struct {
	f      *fleet
	role   string // sender or receiver
	name   string // of the machine, as records say it
	host   *netlab.Host
	port   int     // where a receiver listens
	routes []route // where it sends to
	tls    string  // the keys of its certificate; "": it speaks without
	disk   string  // what a new machine has not
	disks  []string
	proc   *daemon
	lives  int     // processes that it has had
	loads  []*load // a sender's
	copied int     // records that a clone's disk had captured before it was one
	calm   bool    // has the program's own time-outs, of a minute

	uncertain control.Count // of earlier lives
	handOvers uint64        // of those
}

// route is one target: who gets what is sent there, and how they share it.
type route struct {
	policy  string // as in the configuration, with what belongs to it; "": there is one member
	members []*station
	names   string // what stands for them in the DNS, as dns:logs.test:24747; "": they are listed
	ack     string // of a relay: hop or end; "": as the program does
	more    string // keys of the target
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	needRoot(t)
	if why := netlab.Lacks(); why != "" {
		t.Skip(why)
	}
	dir, err := os.MkdirTemp("", "net")
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, dir: dir, program: program}
	t.Cleanup(f.end)
	if f.net, err = netlab.New(); err != nil {
		t.Fatal(err)
	}
	return f
}

// end stops all, orderly, and sees that nothing stays.
func (f *fleet) end() {
	for _, s := range f.stations {
		if s.proc != nil && !s.proc.ended() {
			s.proc.cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	for _, s := range f.stations {
		if s.proc == nil {
			continue
		}
		select {
		case <-s.proc.done:
		case <-time.After(60 * time.Second):
			f.t.Errorf("%s does not stop: %s", s.name, s.proc.log())
			s.proc.kill()
		}
		for range 10 {
			if unix.Unmount(s.mnt(), unix.MNT_DETACH) != nil {
				break
			}
		}
	}
	if f.net != nil {
		f.net.Close()
	}
	os.RemoveAll(f.dir)
}

func (f *fleet) receiver(name string, routes ...route) *station {
	f.t.Helper()
	return f.station("receiver", name, routes)
}

func (f *fleet) sender(name string, routes ...route) *station {
	f.t.Helper()
	s := f.station("sender", name, routes)
	if err := os.MkdirAll(s.mnt(), 0o755); err != nil {
		f.t.Fatal(err)
	}
	return s
}

func (f *fleet) station(role, name string, routes []route) *station {
	f.t.Helper()
	host, err := f.net.Host(name + ".test")
	if err != nil {
		f.t.Fatal(err)
	}
	s := &station{f: f, role: role, name: name, host: host, port: port, routes: routes}
	s.newDisk()
	f.stations = append(f.stations, s)
	return s
}

// to is a target that is one station.
func to(s *station) route { return route{members: []*station{s}} }

// newDisk puts an empty disk in the place of the one that it has.
func (s *station) newDisk() {
	s.f.t.Helper()
	s.disk = filepath.Join(s.f.dir, fmt.Sprintf("%s.%d", s.name, len(s.disks)))
	s.disks = append(s.disks, s.disk)
	if err := os.Mkdir(s.disk, 0o755); err != nil {
		s.f.t.Fatal(err)
	}
}

func (s *station) mnt() string  { return filepath.Join(s.f.dir, s.name+".mnt") }
func (s *station) sock() string { return filepath.Join(s.disk, "sock") }

// scrape is the socket of a sender's metrics.
func (s *station) scrape() string { return filepath.Join(s.disk, "metrics") }

const (
	port = 24747
	// plainNet is what both sides want to hear before they do without TLS between machines.
	plainNet = "insecure: true"
	// hasty finds out within seconds that a peer is away.
	hasty = "timeouts: {connect: 1s, write: 2s, ack: 3s}, backoff: {min: 10ms, max: 200ms}, keepalive: 1s"
	// hastyLimits do the same on the other side.
	hastyLimits = "{handshake_timeout: 2s, idle_timeout: 3s, write_timeout: 2s}"
)

// config is the configuration of either role.
func (s *station) config() string {
	common := fmt.Sprintf("state_dir: %[1]s/state\ncontrol: {socket: %[1]s/sock}\nlog: {level: debug, format: text}\n%[2]s", s.disk, s.targets())
	if s.role == "sender" {
		names := s.targetNames()
		return common + fmt.Sprintf(`metrics: {listen: "unix:%[2]s/metrics"}
host: %[1]s
spool_dir: %[2]s/spool
mounts: [{name: log, path: %[3]s}]
queue: {min_free: 0}
rules:
  - {name: write, match: ["**/*.wc"], capture: write, targets: [%[4]s]}
  - {name: rest, match: ["**"], targets: [%[4]s]}
`, s.name, s.disk, s.mnt(), names)
	}
	outputs := fmt.Sprintf("outputs: [{name: json, base: %s/json, path: all.json, format: json}]\n", s.disk)
	if len(s.routes) > 0 { // a relay keeps nothing
		outputs = "outputs: []\n"
	}
	limits := hastyLimits
	if s.calm {
		limits = "{}"
	}
	return common + fmt.Sprintf("listen: [\":%d\"]\n%s\nlimits: %s\n%s", s.port, s.spoken(), limits, outputs)
}

// spoken is whether a station speaks TLS.
func (s *station) spoken() string {
	if s.tls == "" {
		return plainNet
	}
	return "tls: {" + s.tls + "}"
}

func (s *station) targetNames() string {
	var names []string
	for i := range s.routes {
		names = append(names, fmt.Sprintf("t%d", i))
	}
	return strings.Join(names, ", ")
}

// targets is the configuration of its routes.
func (s *station) targets() string {
	if len(s.routes) == 0 {
		return ""
	}
	text := "targets:\n"
	for i, r := range s.routes {
		whom := r.whom()
		if r.shares() {
			whom += ", hand_over: 1s, return_after: 1s"
		}
		waits := hasty
		if s.calm {
			waits = "backoff: {min: 10ms}"
		}
		if r.ack != "" {
			waits += ", ack: " + r.ack
		}
		text += fmt.Sprintf("  - {name: t%d, %s, %s, %s%s}\n", i, whom, s.spoken(), waits, r.more)
	}
	return text
}

// whom is the part of a target that says who its members are.
func (r route) whom() string {
	switch {
	case r.names != "":
		return fmt.Sprintf(`policy: %s, address: "%s", resolve: 1s`, r.policy, r.names)
	case r.policy == "":
		return fmt.Sprintf(`address: "%s"`, r.members[0].at())
	}
	var members []string
	for _, m := range r.members {
		members = append(members, fmt.Sprintf(`{name: %s, address: "%s"}`, m.name, m.at()))
	}
	return fmt.Sprintf("policy: %s, members: [%s]", r.policy, strings.Join(members, ", "))
}

// at is where a receiver is found, by name.
func (s *station) at() string { return fmt.Sprintf("%s:%d", s.host.Name(), s.port) }

// start starts the process and waits until it serves.
func (s *station) start() {
	t := s.f.t
	t.Helper()
	config := filepath.Join(s.disk, s.role+".yaml")
	if err := os.WriteFile(config, []byte(s.config()), 0o644); err != nil {
		t.Fatal(err)
	}
	s.lives++
	c := exec.Command(s.f.program, s.role, "--config", config)
	s.proc = startDaemon(t, s.name, c, func() error { return s.host.Start(c) })
	s.f.until(s.name+" serves", 30*time.Second, func() bool { return s.proc.serves() || s.proc.ended() })
	if s.proc.ended() {
		t.Fatalf("%s ended: %s", s.name, s.proc.log())
	}
}

// serves reports whether the process has said that it serves: by then it answers on its control socket, which it makes after
// its mounts appear and its port listens.
func (d *daemon) serves() bool { return strings.Contains(d.all(), "msg=serving ") }

func (f *fleet) start() {
	f.t.Helper()
	for _, role := range []string{"receiver", "sender"} {
		for _, s := range f.stations {
			if s.role == role {
				s.start()
			}
		}
	}
}

// replace has a machine with an empty disk take the place of this one, under its name and address.
func (s *station) replace() {
	s.f.t.Helper()
	s.proc.kill()
	s.newDisk()
	s.start()
}

// clone starts a copy of a sender, which is stopped, as another machine: its disk is the same, and so is its id.
func (s *station) clone(name string) *station {
	t := s.f.t
	t.Helper()
	c := s.f.sender(name, s.routes...)
	for _, dir := range []string{"state", "spool"} {
		if err := os.CopyFS(filepath.Join(c.disk, dir), os.DirFS(filepath.Join(s.disk, dir))); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range s.loads {
		c.copied += len(l.ok)
	}
	return c
}

// write starts writers of a sender's: one that keeps its file open, one that opens it anew, and one by write capture.
func (s *station) write(pause time.Duration) {
	s.f.t.Helper()
	for _, w := range []struct{ kind, file, more string }{{"held", "held.log", "0"}, {"anew", "anew.log", "20"}, {"plain", "plain.wc", "0"}} {
		id := fmt.Sprintf("%s-%s%d", s.name, w.kind, len(s.loads))
		s.loads = append(s.loads, startLoad(s.f.t, s.mnt(), id, w.file, "-pause", pause.String(), "-again=true", "-reopen", w.more))
	}
}

func (s *station) status() control.Status { return statusOf(s.f.t, s.sock()) }

// until polls; the limit only ends a test that hangs.
func (f *fleet) until(what string, limit time.Duration, ok func() bool) {
	f.t.Helper()
	began := time.Now()
	if limit *= patience; happens(limit, ok) {
		f.t.Logf("%s: after %v", what, time.Since(began).Round(time.Millisecond))
		return
	}
	var logs strings.Builder
	for _, s := range f.stations {
		fmt.Fprintf(&logs, "\n%s: %s", s.name, s.proc.log())
	}
	f.t.Fatalf("%s: not within %v%s", what, limit, &logs)
}

// of returns the stations of a role.
func (f *fleet) of(role string) []*station {
	return slices.DeleteFunc(slices.Clone(f.stations), func(s *station) bool { return s.role != role })
}
