package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A line of the child is an entry of its own.
func TestJournal(t *testing.T) {
	r := newRig(t)
	r.Stdout, r.Fields, r.Identifier = Journal, map[string][]string{"FTFUSE_RULE": {"app"}, "FTFUSE_MOUNT": {"l", "m"}}, "shape"
	r.sh(`echo out; echo '<3>bad'; printf '\n<x>as it is\n'; head -c 100000 /dev/zero | tr '\0' y; echo; printf 'no end'; exec cat`)
	p := r.start()
	var got []map[string]string
	next := func() { // journald has to read meanwhile
		if e, ok := r.jd.Next(); ok {
			got = append(got, e.Fields)
		}
	}
	until(t, "all came", func() bool { next(); return len(got) == 6 })
	pid := fmt.Sprint(p.Stats().PID)
	p.end()
	until(t, "the last one came", func() bool { next(); return len(got) == 7 })
	want := []struct{ message, priority string }{{"out", "6"}, {"bad", "3"}, {"<x>as it is", "6"}, {strings.Repeat("y", maxLine), "6"},
		{strings.Repeat("y", maxLine), "6"}, {strings.Repeat("y", 100_000-2*maxLine), "6"}, {"no end", "6"}}
	for i, w := range want {
		e := got[i]
		if e["MESSAGE"] != w.message || e["PRIORITY"] != w.priority {
			t.Errorf("entry %d: got %.40q with priority %s, want %.40q with %s", i, e["MESSAGE"], e["PRIORITY"], w.message, w.priority)
		}
		if e["SYSLOG_IDENTIFIER"] != "shape" || e["FTFUSE_OUTPUT"] != "out" || e["FTFUSE_PLUGIN_PID"] != pid || e["FTFUSE_RULE"] != "app" || e["FTFUSE_MOUNT"] != "l m" {
			t.Errorf("entry %d: got %v", i, e)
		}
	}
}

// Standard error is there in every mode; without a journal it goes to ours.
func TestWithoutJournal(t *testing.T) {
	r := newRig(t)
	r.jd.Stop()
	said := &lines{}
	r.Stderr = said
	r.sh("echo one >&2; echo two; echo three >&2; exec cat >&2")
	r.append([]byte("four\n"))
	p := r.start()
	until(t, "all came", func() bool { return p.Stats().StderrLines == 3 })
	p.end()
	if got := said.String(); got != "out: one\nout: three\nout: four\n" {
		t.Errorf("got %q", got)
	}
}

// A flood that journald does not read holds the child up for a moment, not for ever, and is counted.
func TestFlood(t *testing.T) {
	r := newRig(t)
	r.sh("yes flood | head -n 20000 >&2; exec cat >got")
	r.number(100, 10, 10)
	p := r.start()
	until(t, "it has said it all", func() bool { return r.drained("out") && p.Stats().StderrLines+p.Stats().Dropped == 20_000 })
	if s := p.Stats(); s.Dropped == 0 || s.StderrLines == 0 {
		t.Errorf("got %+v", s)
	}
}

// A file is appended to, and made anew when it was renamed, at a line's beginning.
func TestFile(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	r := newRig(t)
	r.Stdout, r.StdoutFile = File, r.path("log")
	must(t, os.WriteFile(r.StdoutFile, []byte("before\n"), 0o600))
	r.sh("exec cat")
	p := r.start()
	r.append([]byte("one\nha"))
	until(t, "it is there", func() bool { return r.read("log") == "before\none\n" })
	must(t, os.Rename(r.path("log"), r.path("log.1")))
	r.append([]byte("lf\n"))
	until(t, "there is a new one", func() bool { return r.read("log") == "half\n" })
	must(t, os.Remove(r.path("log")))
	r.append([]byte("three"))
	until(t, "it is read", func() bool { return r.drained("out") })
	p.end()
	if got := r.read("log"); got != "three" {
		t.Errorf("got %q", got)
	}
	if got := r.read("log.1"); got != "before\none\n" {
		t.Errorf("got %q in the old one", got)
	}
	i, err := os.Stat(r.path("log"))
	must(t, err)
	if i.Mode() != 0o640 {
		t.Errorf("got mode %v", i.Mode())
	}
}

// What a file cannot take waits; the child waits with it.
func TestFileFails(t *testing.T) {
	r := newRig(t)
	r.Stdout, r.StdoutFile = File, r.path("dir/log")
	r.sh("exec cat")
	p := r.start()
	r.number(100, 10, 10)
	until(t, "it has failed", func() bool { return p.Stats().LastError != "" })
	must(t, os.Mkdir(r.path("dir"), 0o755))
	until(t, "it is there", func() bool { return strings.Count(r.read("dir/log"), "\n") == 100 })
}

// Records come back as whole lines, again if they were not taken, and at the end what has no end.
func TestRecords(t *testing.T) {
	r := newRig(t)
	var mu sync.Mutex
	var got []string
	fail := true
	r.Stdout, r.Records = Records, func(_ context.Context, l []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if fail {
			fail = false
			return errors.New("not now")
		}
		got = append(got, string(l))
		return nil
	}
	r.sh("sed s/a/b/; printf tail")
	p := r.start()
	for range 1000 {
		r.append([]byte("xa\n"))
	}
	until(t, "all are read", func() bool { return r.drained("out") })
	p.end()
	all := strings.Join(got, "")
	if want := strings.Repeat("xb\n", 1000) + "tail"; all != want {
		t.Errorf("got %d bytes, want %d", len(all), len(want))
	}
	for _, l := range got[:len(got)-1] {
		if !strings.HasSuffix(l, "\n") {
			t.Errorf("got %.20q, want whole lines", l)
		}
	}
}

// Acknowledgements that are none, or are of what was not given, end the child.
func TestBadAcks(t *testing.T) {
	for answer, want := range map[string]string{"x": "a number of lines", "-1": "a number of lines", "1000000": "at most 5", "": "a number of lines"} {
		r := newRig(t)
		r.Ack = true
		r.number(5, 5, 10)
		r.sh(fmt.Sprintf(`test -e first && { cat >got; echo 5 >&3; exit; }; touch first; head -n 5 >/dev/null; echo '%s' >&3; exec sleep 1000`, answer))
		p := r.start()
		until(t, "it was ended", func() bool { return p.Stats().Restarts > 0 })
		p.end()
		if s := p.Stats(); !strings.Contains(r.log.String(), want) {
			t.Errorf("%q: got %+v\n%s", answer, s, r.log)
		}
	}
}

func FuzzAck(f *testing.F) {
	for _, s := range []string{"1\n", "42", "007\r\n", "", "x\n", "-1", "99999999999999999999", "9223372036854775807\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseAck(b)
		if err != nil && n != 0 || err == nil && n < 0 {
			t.Errorf("got %d, %v", n, err)
		}
		if again, err2 := parseAck(fmt.Appendf(nil, "%d\n", n)); err == nil && (err2 != nil || again != n) {
			t.Errorf("got %d, %v, want %d", again, err2, n)
		}
		if err != nil && !utf8.ValidString(err.Error()) {
			t.Errorf("got %q", err)
		}
	})
}
