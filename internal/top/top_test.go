package top

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ftfuse/internal/control"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func n(bytes, records uint64) control.Count { return control.Count{Bytes: bytes, Records: records} }

// sender is a sender that has run for so many seconds.
func sender(s int) control.Status {
	k := uint64(s)
	now := noon.Add(time.Duration(s) * time.Second)
	st := control.Status{Role: "sender", Version: "1.2.3", PID: 4711, Host: "web1.example.net", Since: noon.Add(-76 * time.Hour), Now: now}
	st.Sender = &control.SenderStatus{
		Mounts: []control.MountStatus{{Name: "log", Path: "/var/log/ftfuse", State: control.Serving, Handles: 12, Files: 9}},
		Spools: 9,
		Queue:  control.QueueStatus{Bytes: 9 << 30, MaxSize: 10 << 30, DiskFree: 42 << 30, State: "ok", Oldest: now.Add(-3 * time.Hour)},
		Flows: []control.Flow{
			{Rule: "default", Target: "archive", Captured: n(k*100, k), Queued: n(k*100, k), Dropped: control.Drops{}},
			{Rule: "nginx", Target: "main", Captured: n(k*k<<20, k*5000), Delivered: n(k*k<<20, k*4000), Queued: n(0, k*1000), Filtered: n(5000, 10), Dropped: control.Drops{}},
			{Rule: "nginx", Target: "archive", Captured: n(k*k<<20, k*5000), Queued: n(9<<30, 81_000_000), Dropped: control.Drops{"queue_full": n(k*3<<20, k*900)}},
		},
		Peers: []control.PeerStatus{
			{Target: "main", Address: "10.0.0.1:24747", State: "connected", Since: now.Add(-time.Hour), RTT: 2 * time.Millisecond, Acked: n(k*k<<20, k*4000)},
			{Target: "archive", Address: "archive.example.net:24747", State: "waiting", Since: now.Add(-5 * time.Second), Oldest: now.Add(-3 * time.Hour), Error: "connect: dial tcp: lookup archive.example.net: no such host\x1b[2J"},
		},
	}
	st.Judge(time.Minute)
	return st
}

// outputs is a sender that writes and feeds plug-ins on its own machine.
func outputs(s int) control.Status {
	st := sender(s)
	k := uint64(s)
	st.Sender.Peers, st.Sender.Flows = st.Sender.Peers[:1], st.Sender.Flows[:2]
	st.Sender.Queue = control.QueueStatus{MaxSize: 10 << 30, DiskFree: 42 << 30, State: "ok"}
	st.Sender.Outputs = []control.OutputStatus{
		{Name: "copies", Type: "file", State: "waiting", Base: "below mount log: copies", Written: n(k*2<<20, k*5000)},
		{Name: "count", Type: "plugin", State: "running", Base: "/usr/local/bin/count.sh --by word", Oldest: st.Now.Add(-70 * time.Second), Written: n(k*3000, k*20), Plugin: &control.PluginStatus{PID: 815, Starts: 1}},
		{Name: "alarm", Type: "plugin", State: "backing-off", Base: "/usr/local/bin/alarm", Uncertain: 5, Plugin: &control.PluginStatus{Starts: 12, Restarts: 12, LastExit: "killed by SIGSEGV\x1b[2J", ExitedAt: st.Now}},
	}
	st.Judge(time.Minute)
	return st
}

func receiver(s int) control.Status {
	k := uint64(s)
	now := noon.Add(time.Duration(s) * time.Second)
	st := control.Status{Role: "receiver", Version: "1.2.3", PID: 815, Host: "log1", Since: noon, Now: now}
	st.Receiver = &control.ReceiverStatus{Listen: []string{"[::]:24747"}, Memory: 3 << 20, Limit: 256 << 20, Ledger: control.LedgerStatus{Disk: 1 << 20},
		Totals:  control.IngestTotals{Received: n(k*900_000, k*9000), Stored: n(k*800_000, k*8000), Duplicates: n(500, 5)},
		Refused: map[string]uint64{"clone": 2},
		Outputs: []control.OutputStatus{{Name: "files", Base: "/var/log/ftfuse-received", Files: 40, Written: n(k*800_000, k*8000), Gaps: 2}, {Name: "journal", Base: "the journal"}}}
	for i := range 30 {
		u := uint64(i)
		st.Receiver.Peers = append(st.Receiver.Peers, control.SourceStatus{Sender: fmt.Sprint(i), Host: fmt.Sprintf("web%02d", i), Address: fmt.Sprintf("10.0.1.%d:4000", i), State: "connected",
			Since: now.Add(-90 * time.Second), Received: n(k*u*2000, k*u*20)})
	}
	st.Receiver.Peers[29].Error = "write /var/log: no space left on device"
	return st
}

// relay is a receiver that hands on: to one target that is away, and to one of two members.
func relay(s int) control.Status {
	st := receiver(s)
	k, r := uint64(s), st.Receiver
	r.Peers, r.Outputs, r.Refused, r.Totals.Duplicates = r.Peers[25:28], r.Outputs[:1], nil, n(0, 0)
	r.Queue = &control.QueueStatus{Bytes: k * 400_000, MaxSize: 8 << 30, DiskFree: 42 << 30, State: "ok", Oldest: st.Now.Add(-80 * time.Second)}
	r.Flows = []control.Flow{
		{Rule: "default", Target: "central", Captured: n(k*500_000, k*5000), Delivered: n(k*300_000, k*3000), Queued: n(k*200_000, k*2000)},
		{Rule: "web", Target: "central", Captured: n(k*400_000, k*4000), Delivered: n(k*200_000, k*2000), Queued: n(k*200_000, k*2000)},
		{Rule: "default", Target: "site", Captured: n(k*500_000, k*5000), Delivered: n(k*400_000, k*4000), Filtered: n(k*100_000, k*1000)},
	}
	r.Targets = []control.TargetStatus{{Name: "central", Oldest: st.Now.Add(-80 * time.Second)}, {Name: "site", Policy: "failover"}}
	r.Receivers = []control.PeerStatus{
		{Target: "central", Address: "central.example.net:24747", State: "waiting", Since: st.Now.Add(-70 * time.Second), Oldest: st.Now.Add(-80 * time.Second), Acked: n(k*500_000, k*5000), Error: "connect: connection refused"},
		{Target: "site", Member: "a", Address: "10.0.2.1:24747", State: "connected", Role: "active", Since: st.Now.Add(-time.Hour), RTT: time.Millisecond, Acked: n(k*400_000, k*4000)},
		{Target: "site", Member: "b", Address: "10.0.2.2:24747", State: "idle", Role: "standby", Since: st.Now.Add(-time.Hour)},
	}
	st.Judge(time.Minute)
	return st
}

// alone is a relay that keeps nothing itself.
func alone(s int) control.Status {
	st := relay(s)
	st.Receiver.Outputs, st.Receiver.Receivers[0].Oldest = nil, time.Time{}
	st.Judge(time.Minute)
	return st
}

// fed is a model that has looked for seconds.
func fed(of func(int) control.Status, seconds int) *Model {
	m := &Model{Interval: time.Second}
	for s := 1; s <= seconds; s++ {
		m.Update(of(s), noon.Add(time.Duration(s)*time.Second))
	}
	return m
}

func text(lines []Line) string {
	var b strings.Builder
	for _, l := range lines {
		line := ""
		for _, s := range l {
			line += s.Text
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

func TestScreens(t *testing.T) {
	away := fed(sender, 30)
	away.Lost(errors.New("nobody answers on /run/ftfuse/sender.sock"), noon.Add(42*time.Second))
	help := fed(sender, 3)
	help.Key("?")
	scrolled := fed(receiver, 20)
	for range 12 {
		scrolled.Key("Down")
	}
	paused := fed(sender, 5)
	paused.Key("p")
	paused.Update(sender(9), noon.Add(9*time.Second))
	both := fed(receiver, 3)
	both.Switch, both.ASCII = true, true
	for _, c := range []struct {
		name           string
		m              *Model
		columns, lines int
	}{
		{"sender-80x24", fed(sender, 90), 80, 24},
		{"sender-first-look", fed(sender, 1), 80, 24},
		{"sender-130x30", fed(sender, 90), 130, 30},
		{"outputs-80x24", fed(outputs, 90), 80, 24},
		{"outputs-50x20", fed(outputs, 90), 50, 20},
		{"sender-40x12", fed(sender, 90), 40, 12},
		{"sender-away", away, 80, 24},
		{"sender-paused", paused, 80, 24},
		{"help-80x24", help, 80, 24},
		{"receiver-80x24", fed(receiver, 20), 80, 24},
		{"receiver-scrolled", scrolled, 80, 24},
		{"receiver-ascii-60x14", both, 60, 14},
		{"relay-80x24", fed(relay, 70), 80, 24},
		{"relay-alone-60x14", fed(alone, 70), 60, 14},
		{"nothing-yet", &Model{}, 80, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := text(View(c.m, c.columns, c.lines))
			file := filepath.Join("testdata", c.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// However small the window is, nothing is written beside it, and the keys stay in the last line.
func TestAnySizeFits(t *testing.T) {
	for _, of := range []func(int) control.Status{sender, receiver, outputs, relay} {
		m := fed(of, 70)
		for columns := 0; columns < 100; columns += 1 + columns/12 {
			for lines := 0; lines < 40; lines += 1 + lines/12 {
				got := View(m, columns, lines)
				if len(got) > lines || columns > 0 && len(got) != lines && lines > 1 {
					t.Fatalf("%dx%d: %d lines", columns, lines, len(got))
				}
				for _, l := range got {
					sum := 0
					for _, s := range l {
						sum += width(s.Text)
						if strings.ContainsAny(s.Text, "\x1b\n\r") {
							t.Fatalf("%q is not safe for a terminal", s.Text)
						}
					}
					if sum > columns {
						t.Fatalf("%dx%d: a line of %d characters: %q", columns, lines, sum, l)
					}
				}
			}
		}
	}
}

func TestOrders(t *testing.T) {
	m := fed(sender, 10)
	first := func() string { return m.tables(80)[0].rows[0][0].Text }
	for _, want := range []string{"busiest: nginx > main", "queued: nginx > archive", "dropped: nginx > archive", "name: default > archive", "busiest: nginx > main"} {
		if got := m.orderName() + ": " + first(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		m.Key("s")
	}
}

// Another process of the same kind begins anew: its counters are not those of the one before.
func TestRestart(t *testing.T) {
	m := fed(sender, 10)
	again := sender(1)
	again.PID++
	m.Update(again, noon.Add(11*time.Second))
	if m.rates.known || len(m.curve) != 0 {
		t.Errorf("rates %+v and %d points are known after one look", m.rates, len(m.curve))
	}
	if got := m.speed(rate{}).Text; got != "-" {
		t.Errorf("shows %q, want -", got)
	}
}

func TestKeys(t *testing.T) {
	m := fed(receiver, 2)
	if m.Key("q") != Quit || m.Key("Ctrl-C") != Quit || m.Key("x") != Nothing || m.Key("Tab") != Nothing {
		t.Error("q and Ctrl-C quit, and nothing else does")
	}
	m.Switch = true
	if m.Key("Tab") != SwitchOver {
		t.Error("Tab does not switch over")
	}
	m.Key("Up")
	for range 100 {
		m.Key("PgDn")
	}
	before := text(View(m, 80, 24))
	if !strings.Contains(before, "web29") && !strings.Contains(before, "web00") {
		t.Errorf("the last row is not to be seen:\n%s", before)
	}
	m.Key("Up")
	if text(View(m, 80, 24)) == before {
		t.Error("one key up does nothing after scrolling beyond the end")
	}
	m.Key("?")
	if m.Key("s"); m.order != 0 || m.help {
		t.Error("a key does more than close the help")
	}
}
