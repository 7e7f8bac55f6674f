package appliance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stopping ends a test whose machine does not stop; it is no expectation.
const stopping = 4 * time.Minute

// off reports whether the machine is switched off.
func (m *machine) off() bool {
	if m.done == nil {
		return true
	}
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// poweroff shuts the machine down in order and returns how long that took.
func (m *machine) poweroff() time.Duration {
	m.t.Helper()
	begin := time.Now()
	m.try("systemctl poweroff") // may be killed by what it asks for
	m.ends(0)
	return time.Since(begin)
}

// rebooting is the exit status by which systemd-nspawn asks to be started again (EXIT_FORCE_RESTART in its source).
const rebooting = 133

// reboot shuts the machine down in order, and boots it again.
func (m *machine) reboot() {
	m.t.Helper()
	m.try("systemctl reboot")
	m.ends(rebooting)
	m.start()
}

// ends waits for the machine to end with this exit status of systemd-nspawn.
func (m *machine) ends(status int) {
	m.t.Helper()
	select {
	case <-m.done:
	case <-time.After(stopping):
		m.t.Fatalf("%s: not off within %v\n%s\n%s", m.name, stopping, m.console.text(), stuck())
	}
	if got := m.nspawn.ProcessState.ExitCode(); got != status {
		m.t.Fatalf("%s: systemd-nspawn ended with %d, want %d\n%s", m.name, got, status, m.console.text())
	}
	m.inOrder()
}

// gaveUp is what systemd says of a unit that has not stopped, or started, in the time that it has for it.
var gaveUp = regexp.MustCompile(`(?:ftfuse-[\w-]+|var-log-\w+|app|write-\w+)\.(?:service|socket|mount): [ -~]{0,80}timed out$`)

// inOrder wants systemd not to have lost its patience with us, nor with those who write to us. The journal is of a release of its
// own: the text is looked for in its files.
func (m *machine) inOrder() {
	m.t.Helper()
	files, err := filepath.Glob(m.path("/var/log/journal") + "/*/*.journal*")
	if err != nil || len(files) == 0 {
		m.t.Fatalf("%s: got no journal: %v", m.name, err)
	}
	for _, file := range files {
		text := readFile(m.t, file)
		for _, before := range strings.SplitAfter(text, "timed out") { // an expression over all of it takes seconds
			if said := gaveUp.FindString(before[max(0, len(before)-200):]); said != "" {
				m.t.Errorf("%s: systemd says %s", m.name, said)
			}
		}
	}
}

// crash ends all processes of the machine at once, and boots it again.
func (m *machine) crash() {
	m.t.Helper()
	m.cut()
	m.start()
}

// cut ends all processes of the machine at once.
func (m *machine) cut() {
	m.t.Helper()
	if err := unix.Kill(m.leader, unix.SIGKILL); err != nil {
		m.t.Fatal(err)
	}
	select {
	case <-m.done:
	case <-time.After(stopping):
		m.t.Fatalf("%s: kill -9 of its PID 1 did not end it", m.name)
	}
}

// end switches the machine off at the end of its test, and prints its journal if the test failed.
func (m *machine) end() {
	if !m.off() {
		if m.t.Failed() {
			out, _ := m.try("journalctl -q --no-hostname --cursor-file=/var/tmp/journal.cursor | tail -n 150; systemctl --failed --no-legend; findmnt -t fuse.ftfuse")
			m.t.Logf("%s: journal:\n%s", m.name, out)
		}
		unix.Kill(m.leader, unix.SIGKILL)
		select {
		case <-m.done:
		case <-time.After(stopping):
			m.t.Errorf("%s: does not end\n%s", m.name, stuck())
		}
	}
	if m.heard != nil {
		m.heard.Close()
		m.reading.Wait()
	}
	if m.network != nil {
		m.network.Close()
	}
	unix.Unmount(m.dir+"/disk", unix.MNT_DETACH)
	removeGroup(m.group)
	if err := os.RemoveAll(m.dir); err != nil {
		m.t.Error(err)
	}
}

// stuck tells where in the kernel those processes are that neither sleep nor run.
func stuck() string {
	var b strings.Builder
	tasks, _ := filepath.Glob("/proc/[0-9]*/task/[0-9]*")
	for _, dir := range tasks {
		stat, err := os.ReadFile(dir + "/stat")
		_, state, found := strings.Cut(string(stat), ") ")
		if err == nil && found && strings.ContainsAny(state[:1], "DZX") {
			stack, _ := os.ReadFile(dir + "/stack")
			fmt.Fprintf(&b, "%s%s\n", stat, stack)
		}
	}
	return b.String()
}

// until polls for what happens in other processes, and returns what the command prints when it succeeds.
func (m *machine) until(what, command string) string {
	m.t.Helper()
	var out string
	eventually(m.t, m.name+": "+what, func() (err error) {
		if out, err = m.try(command); err != nil {
			err = fmt.Errorf("%s: %w: %s", command, err, out)
		}
		return err
	})
	return out
}

// eventually polls until nothing is wrong any more, ever less often: most look into a machine by a program of its own. The
// limit only ends a test that hangs.
func eventually(t *testing.T, what string, wrong func() error) {
	t.Helper()
	end, pause := time.Now().Add(limit), 20*time.Millisecond
	for err := wrong(); err != nil; err = wrong() {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(pause)
		pause = min(pause*5/4, time.Second/2)
	}
}

// each runs a test on every release, at once.
func each(t *testing.T, f func(t *testing.T, release string)) {
	for _, release := range []string{"bookworm", "trixie"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			f(t, release)
		})
	}
}
