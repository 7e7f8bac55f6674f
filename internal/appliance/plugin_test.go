package appliance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestOneHost has the shipped sender and receiver on one machine: a configuration with a mistake, plug-ins in the units'
// sandboxes, and reloads.
func TestOneHost(t *testing.T) {
	each(t, func(t *testing.T, release string) {
		m := boot(t, release, "host")
		m.install(older)
		m.refuseStart()
		m.put("/usr/local/bin/plugin.sh", readFile(t, "testdata/plugin.sh"), 0o755)
		m.put("/etc/ftfuse/sender.d/plugin.yaml", senderPlugin, 0o644)
		m.put("/etc/ftfuse/receiver.d/plugin.yaml", receiverPlugin, 0o644)
		dropIns := blocks(t, "docs/plugins.md", "In the packages' units")
		if len(dropIns) != 2 {
			t.Fatalf("got %q, want the drop-ins to write somewhere and to run as another user", dropIns)
		}
		m.put("/etc/systemd/system/ftfuse-receiver.service.d/plugin.conf", strings.Replace(dropIns[0], "/srv/counts", "/srv/plugin", 1), 0o644)
		m.run("systemctl stop ftfuse-receiver.service; mkdir /srv/plugin && chown ftfuse: /srv/plugin && systemctl daemon-reload && ftfuse check && systemctl enable --now ftfuse-receiver.socket var-log-ftfuse.mount")
		m.plugins()
		m.reloads()
		m.asNobody(dropIns[1])
		m.stops()
		m.poweroff()
	})
}

const senderPlugin = `outputs:
  - name: watch
    type: plugin
    plugin: {command: [/usr/local/bin/plugin.sh], memory: 256MiB, files: 64}
rules:
  - name: default
    targets: [default, watch]
`

const receiverPlugin = `outputs:
  - name: take
    type: plugin
    plugin: {command: [/usr/local/bin/plugin.sh], memory: 256MiB, files: 64}
`

// says waits until the journal has a line of a plug-in.
func (m *machine) says(name, line string) {
	m.t.Helper()
	eventually(m.t, name+" says "+line, func() error {
		for _, e := range m.journal("-t " + name) {
			if e.text() == line {
				return nil
			}
		}
		out, _ := m.try("journalctl -q --no-hostname -n 30 -u 'ftfuse-*'")
		return fmt.Errorf("the journal has\n%s", out)
	})
}

// plugins wants a plug-in of either service to be fed, to be heard under its own name, and to have no right but to run.
func (m *machine) plugins() {
	m.t.Helper()
	m.until("both serve", "ftfuse status --json | grep -c '\"role\"' | grep -x 2")
	m.run("echo one >>" + mounted + "/a.log")
	for name, unit := range map[string]string{"watch": "ftfuse-sender.service", "take": "ftfuse-receiver.service"} {
		m.says(name, "got one")
		m.says(name, "CapAmb:\t0000000000000000") // on its standard error, which is heard apart from the other
		texts := map[string]string{}              // with their priorities
		for _, e := range m.journal("-t " + name) {
			texts[e.text()] = fmt.Sprint(e["PRIORITY"])
			if e["FTFUSE_OUTPUT"] != name || e["FTFUSE_PLUGIN_PID"] == nil || e["_SYSTEMD_UNIT"] != unit {
				m.t.Errorf("%s: got %v, want its output, its process and %s in fields", name, e, unit)
			}
		}
		for _, want := range []string{"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000"} {
			if texts[want] != "4" {
				m.t.Errorf("%s: no %q of priority 4 in %q", name, want, texts)
			}
		}
		for _, want := range []string{"open 64", "address 268435456", "user ftfuse, umask 0077"} {
			if texts[want] != "6" {
				m.t.Errorf("%s: no %q of priority 6 in %q", name, want, texts)
			}
		}
		if _, can := texts["can write to /etc"]; can {
			m.t.Errorf("%s can write to /etc", name)
		}
		if _, can := texts["can write to /srv/plugin"]; can != (name == "take") {
			m.t.Errorf("%s can write to /srv/plugin: %v, want it where a drop-in says so", name, can)
		}
		if status := m.run("ftfuse status"); !strings.Contains(status, name) || strings.Contains(status, "\n! ") {
			m.t.Errorf("ftfuse status says %s, want it well and with %s", status, name)
		}
	}
}

// reloads changes filters below an open file, refuses what has a mistake, and takes SIGHUP too.
func (m *machine) reloads() {
	m.t.Helper()
	m.run("touch /var/tmp/lines; systemd-run -q --unit=held sh -c 'exec tail -n +1 -f /var/tmp/lines >>" + mounted + "/held.log'; echo secret 1 >>/var/tmp/lines")
	m.says("watch", "got secret 1")
	before := m.pluginPID("watch", "got secret 1")
	m.put("/etc/ftfuse/sender.d/filter.yaml", "rules:\n  - {name: default, filters: [{action: deny, contains: secret}]}\n", 0o644)
	m.run("systemctl reload ftfuse-sender.service; echo secret 2 >>/var/tmp/lines; echo open 3 >>/var/tmp/lines")
	m.says("watch", "got open 3")
	if slices.ContainsFunc(m.journal("-t watch"), func(e entry) bool { return e.text() == "got secret 2" }) {
		m.t.Error("a file that was open before the reload is not filtered by the new rules")
	}
	if now := m.pluginPID("watch", "got open 3"); now == before {
		m.t.Errorf("after the reload the plug-in is still process %s", now)
	}
	m.says("watch", "finished after 2 lines") // the one that was replaced

	for role, reloads := range map[string]int{"sender": 3, "receiver": 2} { // with the one above, and those that follow
		unit := "ftfuse-" + role + ".service"
		bad := "/etc/ftfuse/" + role + ".d/bad.yaml"
		m.put(bad, "outpts: []\n", 0o644)
		main := m.run("systemctl show -P MainPID " + unit)
		m.refuse(1, "systemctl reload "+unit)
		list := m.journal("FTFUSE_NOTICE=reload_failed _SYSTEMD_UNIT=" + unit)
		if len(list) != 1 || !strings.Contains(list[0].text(), "bad.yaml:1: outpts: unknown key") || list[0]["PRIORITY"] != "3" {
			m.t.Errorf("%s: got %v, want one message that says where the mistake is", unit, list)
		}
		m.run("rm " + bad + "; systemctl reload " + unit)
		m.run("systemctl kill -s HUP --kill-whom=main " + unit)
		m.until(unit+" has reloaded", fmt.Sprintf("journalctl -q -o cat -u %s | grep -c '^reloaded' | grep -x %d", unit, reloads))
		if now := m.run("systemctl show -P MainPID " + unit); now != main {
			m.t.Errorf("%s: after reloads its process is %s, want %s", unit, now, main)
		}
	}
}

// pluginPID returns the process that has said a line.
func (m *machine) pluginPID(name, line string) string {
	m.t.Helper()
	list := m.journal("-t " + name)
	at := slices.IndexFunc(list, func(e entry) bool { return e.text() == line })
	if at < 0 {
		m.t.Fatalf("%s has not said %s", name, line)
	}
	return fmt.Sprint(list[at]["FTFUSE_PLUGIN_PID"])
}

// asNobody wants a user that the unit may not change to refused in words, and the drop-in to let it: to start a plug-in as
// that user, and to end one.
func (m *machine) asNobody(dropIn string) {
	m.t.Helper()
	m.put("/etc/ftfuse/sender.d/user.yaml", userPlugins, 0o644)
	m.run("systemctl reload ftfuse-sender.service")
	m.until("the sender says why it cannot", "journalctl -q -o cat FTFUSE_NOTICE=plugin_ended FTFUSE_OUTPUT=other | grep 'not permitted: only root, or a service with CAP_SETUID and CAP_SETGID'")
	m.put("/etc/systemd/system/ftfuse-sender.service.d/user.conf", dropIn, 0o644)
	m.run("systemctl daemon-reload && systemctl restart ftfuse-sender.service")
	m.says("other", "user nobody, umask 0077")
	m.until("the one that does not read runs", "pgrep -u nobody -x sleep")
	for _, e := range m.journal("-t other") {
		if text := e.text(); strings.HasPrefix(text, "Cap") && !strings.HasSuffix(text, "\t0000000000000000") {
			m.t.Errorf("as another user a plug-in has %s", text)
		}
	}
	m.run("rm /etc/ftfuse/sender.d/user.yaml; systemctl reload ftfuse-sender.service")
	m.refuse(1, "pgrep -u nobody")
	m.says("other", "finished after 0 lines")
}

const userPlugins = `outputs:
  - {name: other, type: plugin, plugin: {command: [/usr/local/bin/plugin.sh], user: nobody}}
  - {name: stuck, type: plugin, plugin: {command: [/bin/sleep, infinity], user: nobody, stop_timeout: 100ms}}
`

// stops ends both services: a plug-in sees the end of its input, and finishes.
func (m *machine) stops() {
	m.t.Helper()
	m.run("systemctl stop held.service; echo last >>" + mounted + "/a.log")
	m.says("watch", "got last")
	m.says("take", "got last")
	m.run("systemctl stop var-log-ftfuse.mount ftfuse-sender.socket ftfuse-sender.service ftfuse-receiver.socket ftfuse-receiver.service")
	for _, name := range []string{"watch", "take"} {
		if out := m.run(synced + "journalctl -q -o cat -t " + name + " | tail -n 1"); !strings.HasPrefix(out, "finished after ") {
			m.t.Errorf("at its stop %s said %q last, want that it has finished", name, out)
		}
	}
	if out := m.run("systemctl show -P Result ftfuse-sender.service ftfuse-receiver.service"); strings.Join(strings.Fields(out), " ") != "success success" {
		m.t.Errorf("the stopped services ended with %q", out)
	}
}
