package resolve

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ftfuse/internal/resolve/dnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *dnstest.Server {
	t.Helper()
	s, err := dnstest.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// watch runs a Watch, which gives each list that it finds.
func watch(t *testing.T, o Options) (*Watch, <-chan string) {
	t.Helper()
	lists := make(chan string, 100)
	o.Changed = func(list []Receiver) { lists <- text(list) }
	w := New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w, lists
}

// text is a list as NAME=ADDRESS*WEIGHT@HOST, the name left out where it is the address.
func text(list []Receiver) string {
	var all []string
	for _, r := range list {
		s := fmt.Sprintf("%s*%d@%s", r.Address, r.Weight, r.Host)
		if r.Name != r.Address {
			s = r.Name + "=" + s
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

func next(t *testing.T, lists <-chan string) string {
	t.Helper()
	select {
	case s := <-lists:
		return s
	case <-time.After(60 * time.Second):
		t.Fatal("the list did not change")
		return ""
	}
}

func TestAddressesOfAName(t *testing.T) {
	dns := start(t)
	dns.Set("logs.test", "10.0.0.3", "10.0.0.1", "fd00::1", "10.0.0.2")
	w, lists := watch(t, Options{Resolver: dns.Resolver(), Every: 20 * time.Millisecond, AtLeast: time.Millisecond, Members: []Listed{
		{"near", "10.0.0.2:7", 3}, {"far", "dns:logs.test:7", 2}, {"here", "unix:/run/x", 1}}})
	if got, want := text(New(w.o).Receivers()), "near=10.0.0.2:7*3@10.0.0.2 here=unix:/run/x*1@"; got != want {
		t.Errorf("before any answer: got %s, want %s", got, want)
	}
	want := "near=10.0.0.2:7*3@10.0.0.2 10.0.0.1:7*2@logs.test 10.0.0.3:7*2@logs.test [fd00::1]:7*2@logs.test here=unix:/run/x*1@"
	if got := next(t, lists); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	dns.Set("logs.test", "10.0.0.9")
	// One lookup is two questions, of IPv4 and IPv6: it may have asked one of them before and the other after the change.
	for got, want := "", "near=10.0.0.2:7*3@10.0.0.2 10.0.0.9:7*2@logs.test here=unix:/run/x*1@"; got != want; {
		got = next(t, lists)
	}
	if got := text(w.Receivers()); !strings.Contains(got, "10.0.0.9") {
		t.Errorf("the list is %s, want what was told", got)
	}
}

func TestServiceRecords(t *testing.T) {
	dns := start(t)
	dns.SetSRV("_ftfuse._tcp.test", dnstest.SRV{Priority: 20, Weight: 5, Port: 7, Host: "backup.test"}, dnstest.SRV{Priority: 10, Weight: 0, Port: 9, Host: "B.test"},
		dnstest.SRV{Priority: 10, Weight: 60, Port: 7, Host: "b.test"}, dnstest.SRV{Priority: 10, Weight: 40, Port: 7, Host: "a.test"})
	members := []Listed{{"all", "srv:_ftfuse._tcp.test", 1}}
	for _, c := range []struct {
		first bool
		want  string
	}{
		{false, "a.test:7*40@a.test b.test:7*60@b.test b.test:9*1@b.test backup.test:7*5@backup.test"},
		{true, "a.test:7*40@a.test b.test:7*60@b.test b.test:9*1@b.test"},
	} {
		_, lists := watch(t, Options{Resolver: dns.Resolver(), Members: members, FirstOf: c.first})
		if got := next(t, lists); got != c.want {
			t.Errorf("first of: %v: got  %s\nwant %s", c.first, got, c.want)
		}
	}
}

// What does not know better does not take anything away.
func TestTheLastGoodAnswerHolds(t *testing.T) {
	dns := start(t)
	dns.Set("logs.test", "10.0.0.1")
	log := &lines{}
	w, lists := watch(t, Options{Resolver: dns.Resolver(), Every: 10 * time.Millisecond, AtLeast: time.Millisecond, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Members: []Listed{{"all", "dns:logs.test:7", 1}}})
	want := "10.0.0.1:7*1@logs.test"
	if got := next(t, lists); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	await := func(what string, holds func(failing string) bool) {
		t.Helper()
		for end := time.Now().Add(60 * time.Second); ; {
			text, since := w.Failing()
			if (text == "") != since.IsZero() {
				t.Fatalf("failing %q since %v", text, since)
			}
			if holds(text) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: the failure is %q", what, text)
			}
			time.Sleep(time.Millisecond)
		}
	}
	dns.Fail(true)
	await("SERVFAIL", func(f string) bool { return strings.HasPrefix(f, "resolve dns:logs.test:7: ") })
	dns.Fail(false)
	await("well again", func(f string) bool { return f == "" })
	dns.Set("logs.test")
	await("no such host", func(f string) bool { return strings.Contains(f, "no such host") })
	before := dns.Asked("logs.test")
	await("asked again", func(string) bool { return dns.Asked("logs.test") >= before+6 })
	if got := text(w.Receivers()); got != want {
		t.Errorf("got %s, want the last good answer %s", got, want)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 2 {
		t.Errorf("%d warnings, want one for each turn to the worse:\n%s", n, log)
	}
	dns.Set("logs.test", "10.0.0.2")
	if got, want := next(t, lists), "10.0.0.2:7*1@logs.test"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAskedForAtFailures(t *testing.T) {
	dns := start(t)
	dns.Set("logs.test", "10.0.0.1")
	w, lists := watch(t, Options{Resolver: dns.Resolver(), Every: time.Hour, AtLeast: time.Millisecond, Members: []Listed{{"all", "dns:logs.test:7", 1}}})
	next(t, lists)
	dns.Set("logs.test", "10.0.0.2")
	w.Ask()
	if got, want := next(t, lists), "10.0.0.2:7*1@logs.test"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Whoever asks does not put off what is asked anyway.
func TestFailuresDelayNothing(t *testing.T) {
	dns := start(t)
	dns.Set("logs.test", "10.0.0.1")
	w, lists := watch(t, Options{Resolver: dns.Resolver(), Every: 10 * time.Millisecond, AtLeast: time.Hour, Members: []Listed{{"all", "dns:logs.test:7", 1}}})
	next(t, lists)
	w.Ask()
	dns.Set("logs.test", "10.0.0.2")
	if got, want := next(t, lists), "10.0.0.2:7*1@logs.test"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMembersAreReplaced(t *testing.T) {
	dns := start(t)
	dns.Set("a.test", "10.0.0.1")
	dns.Set("b.test", "10.0.0.2")
	near := Listed{"near", "10.0.0.9:7", 1}
	w, lists := watch(t, Options{Resolver: dns.Resolver(), Every: time.Hour, AtLeast: time.Hour, Members: []Listed{near, {"a", "dns:a.test:7", 1}}})
	next(t, lists)
	<-w.First()
	w.Set([]Listed{{"b", "dns:b.test:7", 1}, near})
	if got, want := next(t, lists), "10.0.0.2:7*1@b.test near=10.0.0.9:7*1@10.0.0.9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	w.Set([]Listed{near})
	if got, want := next(t, lists), "near=10.0.0.9:7*1@10.0.0.9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSoManyReceiversAtMost(t *testing.T) {
	dns := start(t)
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf("10.0.0.%d", i))
	}
	var members []Listed
	for i := range 5 {
		name := fmt.Sprintf("logs%d.test", i)
		dns.Set(name, many...)
		members = append(members, Listed{name, fmt.Sprintf("dns:%s:%d", name, i+1), 1})
	}
	_, lists := watch(t, Options{Resolver: dns.Resolver(), Members: members})
	if n := len(strings.Fields(next(t, lists))); n != Most {
		t.Errorf("got %d receivers, want %d", n, Most)
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
