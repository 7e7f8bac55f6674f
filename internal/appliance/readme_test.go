package appliance

import (
	"strings"
	"testing"
)

// blocks returns the indented blocks of a chapter of a document of this tree, without the indentation.
func blocks(t *testing.T, document, chapter string) []string {
	t.Helper()
	_, text, found := strings.Cut(readFile(t, "../../"+document), "\n## "+chapter+"\n")
	if !found {
		t.Fatalf("%s has no chapter %q", document, chapter)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var all []string
	inside := false
	for line := range strings.Lines(text) {
		code, indented := strings.CutPrefix(line, "    ")
		switch {
		case inside && (indented || line == "\n"):
			all[len(all)-1] += code
		case indented:
			all, inside = append(all, code), true
		default:
			inside = false
		}
	}
	return all
}

// TestQuickStart types what README.md says, on fresh machines.
func TestQuickStart(t *testing.T) {
	each(t, func(t *testing.T, release string) {
		list := blocks(t, "README.md", "Two hosts")
		if len(list) != 4 {
			t.Fatalf("got %d blocks %q, want the receiver's commands, the sender's installation, its configuration, its commands", len(list), list)
		}
		receiver, sender := boot(t, release, "receiver"), boot(t, release, "sender")
		for _, m := range []*machine{receiver, sender} {
			m.bring("deb", older)
		}
		const there = "set -e; cd /var/tmp\n"
		receiver.run(there + list[0])
		sender.run(there + list[1])
		sender.run("echo '" + receiver.address + " logs.example.net' >>/etc/hosts; mkdir -p /var/log/app; echo earlier >/var/log/app/old.log")
		sender.put("/etc/ftfuse/sender.yaml", list[2], 0o644)
		if out := sender.run(there + list[3]); !strings.Contains(out, "app    serving  /var/log/app") {
			t.Errorf("the last thing that the sender says is %q, want the mount in it", out)
		}
		receiver.until("both lines", "cat /var/log/ftfuse-received/*/hello.log /var/log/ftfuse-received/*/old.log | grep -c . | grep -x 2")
		sender.run("systemctl is-active var-log-app.mount && test -e /usr/share/man/man1/ftfuse.1.gz")
		sender.poweroff()
		receiver.poweroff()
	})
}
