package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/control"
)

// certs runs ftfuse certs with the site's folder for certificates.
func (s *site) certs(args ...string) {
	s.t.Helper()
	certs(s.t, s.dir, args...)
}

// certs runs ftfuse certs in a folder.
func certs(t *testing.T, dir string, args ...string) {
	t.Helper()
	c := exec.Command(program, append([]string{"certs"}, args...)...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("ftfuse certs %v: %v: %s", args, err, out)
	}
}

// secured gives the site an authority, a certificate for each side, and a configuration that uses them. mainX is the rest of
// the target, recv more of receiver.yaml.
func (s *site) secured(mainX, recv string) {
	s.t.Helper()
	s.certs("init", "--dir", "ca", "--name", "test")
	s.certs("issue", "sendhost.example.net", "--dir", "ca", "--out", "send")
	s.certs("issue", "logs.example.net", "--dir", "ca", "--out", "recv")
	s.mainX = fmt.Sprintf(`, tls: {%s, server_name: logs.example.net}%s`, s.files("send", "sendhost.example.net"), mainX)
	s.recvX = s.plainOutputs() + fmt.Sprintf("\ntls: {%s}\n%s", s.files("recv", "logs.example.net"), recv)
}

// files are the keys ca, cert and key for what was issued into dir for name.
func (s *site) files(dir, name string) string {
	at := func(parts ...string) string { return filepath.Join(append([]string{s.dir}, parts...)...) }
	return fmt.Sprintf("ca: %s, cert: %s, key: %s", at("ca", "ca.crt"), at(dir, name+".crt"), at(dir, name+".key"))
}

// refusedWith waits until the receiver has refused something for a reason, and the sender says text of it and keeps its data.
func (s *site) refusedWith(reason, text string) {
	s.t.Helper()
	s.until("the receiver counts "+reason, 20*time.Second, func() bool { return s.status("receiver").Receiver.Refused[reason] > 0 })
	s.until("the sender says "+text, 20*time.Second, func() bool {
		return strings.Contains(s.status("sender").Sender.Peers[0].Error, text)
	})
	for _, f := range s.status("sender").Sender.Flows {
		if f.Dropped.Total() != (control.Count{}) || !f.Balanced() {
			s.t.Errorf("something was dropped: %+v", f)
		}
	}
}

// Data passes by TLS, both sides say who is at the other end, and certificates that change while data flows cost nothing. Half way
// the authority is another one: both are known meanwhile.
func TestTLSWhileCertificatesChange(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.secured("", `peers: [{name: hosts, identity: ["*.example.net"]}]`)
	s.startBoth()
	l := s.loads(300*time.Microsecond, false)
	s.until("both know each other", 20*time.Second, func() bool {
		peers := s.status("receiver").Receiver.Peers
		p := s.status("sender").Sender.Peers[0]
		return len(peers) == 1 && peers[0].TLS && peers[0].Identity == "sendhost.example.net" && peers[0].Peer == "hosts" && p.TLS && p.Identity == "logs.example.net"
	})
	for i := range soak(6) {
		if i == 3 { // the authorities change hands
			s.certs("init", "--dir", "ca2", "--name", "second")
			both := readFile(t, s.dir+"/ca/ca.crt") + readFile(t, s.dir+"/ca2/ca.crt")
			if err := os.WriteFile(s.dir+"/ca/ca.crt", []byte(both), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		from := "ca"
		if i > 3 {
			from = "ca2"
		}
		if i != 3 {
			s.certs("issue", "sendhost.example.net", "--dir", from, "--out", "send", "--force")
			s.certs("issue", "logs.example.net", "--dir", from, "--out", "recv", "--force")
		}
		s.hup("receiver")
		s.hup("sender")
		if i%2 == 0 { // a new connection by the new certificates
			s.receiver.kill()
			s.startReceiver()
		}
	}
	for _, role := range []string{"sender", "receiver"} {
		d := map[string]*daemon{"sender": s.sender, "receiver": s.receiver}[role]
		if !strings.Contains(d.all(), "re-read") {
			t.Errorf("%s does not say that it has read certificates again", role)
		}
	}
	for _, w := range l {
		if w.end(t); len(w.failed)+len(w.other) > 0 {
			t.Errorf("writer %s saw errors: %v %v", w.id, w.failed, w.other)
		}
	}
	s.settled(l)
	left := s.status("sender").Certificates
	if len(left) != 1 || left[0].Target != "main" || left[0].Left(time.Now()) < 24*time.Hour {
		t.Errorf("got certificates %+v", left)
	}
}

// What is wrong between two sides is refused and said on both, costs nothing, and passes when it is mended and reloaded.
func TestTLSRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		spoil        func(s *site)
		reason, says string // of the receiver's counters, "" if it is the sender that refuses; of the sender's error
		mend         func(s *site)
	}{
		"a sender of another authority": {
			func(s *site) {
				s.certs("init", "--dir", "other", "--name", "other")
				s.certs("issue", "sendhost.example.net", "--dir", "other", "--out", "send", "--force")
			}, "untrusted", "does not know the authority",
			func(s *site) { s.certs("issue", "sendhost.example.net", "--dir", "ca", "--out", "send", "--force") },
		},
		"a receiver of another authority": {
			func(s *site) {
				s.certs("init", "--dir", "other", "--name", "other")
				s.certs("issue", "logs.example.net", "--dir", "other", "--out", "recv", "--force")
			}, "untrusted", `is signed by "CN=other"`,
			func(s *site) { s.certs("issue", "logs.example.net", "--dir", "ca", "--out", "recv", "--force") },
		},
		"a receiver of another name": {
			func(s *site) { s.mainX = strings.Replace(s.mainX, "server_name: logs.", "server_name: else.", 1) }, "untrusted", "has not the name else.example.net",
			func(s *site) { s.mainX = strings.Replace(s.mainX, "server_name: else.", "server_name: logs.", 1) },
		},
		"a sender without TLS": {
			func(s *site) { s.mainX = "" }, "plaintext", "the peer speaks without TLS",
			func(s *site) {
				s.mainX = fmt.Sprintf(`, tls: {%s, server_name: logs.example.net}`, s.files("send", "sendhost.example.net"))
			},
		},
		"a receiver without TLS": {
			func(s *site) { s.recvX = s.plainOutputs() }, "stray", "the receiver speaks without TLS",
			func(s *site) { s.mainX = "" },
		},
		"a key for everybody": {
			func(s *site) { os.Chmod(s.dir+"/send/sendhost.example.net.key", 0o644) }, "", "mode 0644",
			func(s *site) { os.Chmod(s.dir+"/send/sendhost.example.net.key", 0o600) },
		},
		"an identity that no peer has": {
			func(s *site) { s.recvX += `peers: [{name: db, identity: ["db*"]}]` }, "denied_peer", "sendhost.example.net is in none of the receiver's peers",
			func(s *site) { s.recvX = strings.Replace(s.recvX, `"db*"`, `"send*"`, 1) },
		},
		"an identity that is denied": {
			func(s *site) { s.recvX += `peers: [{name: stolen, identity: [sendhost.example.net], deny: true}]` }, "denied_peer", "peer stolen of the receiver denies it",
			func(s *site) { s.recvX = strings.Replace(s.recvX, "deny: true", "deny: false", 1) },
		},
		"a host of somebody else": {
			func(s *site) { s.host = "db1"; s.recvX += `peers: [{name: all, identity: ["*"]}]` }, "denied_host", `may not send as host "db1"`,
			func(s *site) { s.recvX = strings.Replace(s.recvX, `["*"]`, `["*"], hosts: ["db?"]`, 1) },
		},
		"a file that is not allowed": {
			func(s *site) { s.recvX += `peers: [{name: all, identity: ["*"], paths: ["web/**"]}]` }, "denied_path", `may not send file "a.log"`,
			func(s *site) { s.recvX = strings.Replace(s.recvX, `"web/**"`, `"*.log"`, 1) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.secured("", "")
			test.spoil(s)
			s.startBoth()
			s.sh("echo one >>a.log")
			if test.reason != "" {
				s.refusedWith(test.reason, test.says)
			} else {
				s.until("the sender says "+test.says, 20*time.Second, func() bool {
					return strings.Contains(s.status("sender").Sender.Peers[0].Error, test.says)
				})
			}
			if got := s.received("a.log"); got != "" {
				t.Errorf("got %q stored of a sender that is refused", got)
			}
			test.mend(s)
			s.hup("receiver")
			s.hup("sender")
			s.expect("a.log", "one\n")
		})
	}
}

// A reload with a bad certificate is refused as a whole; data flows by what was in force.
func TestReloadWithABadCertificate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.secured("", "")
	s.startBoth()
	s.sh("echo one >>a.log")
	s.expect("a.log", "one\n")
	for role, file := range map[string]string{"sender": "send/sendhost.example.net.crt", "receiver": "recv/logs.example.net.crt"} {
		good := readFile(t, filepath.Join(s.dir, file))
		if err := os.WriteFile(filepath.Join(s.dir, file), []byte("no certificate\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(program, "reload", "--role", role, "--config", s.dir+"/"+role+".yaml").CombinedOutput()
		if err == nil || !strings.Contains(string(out), file) || !strings.Contains(string(out), "no PEM certificate") || !strings.Contains(string(out), "what was in force stays in force") {
			t.Errorf("%s: got %v: %s", role, err, out)
		}
		if err := os.WriteFile(filepath.Join(s.dir, file), []byte(good), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.sh("echo two >>a.log")
	s.expect("a.log", "one\ntwo\n")
}

// A quota lets nothing more through until its period is over, loses nothing, says so on the receiver, and survives a kill. A raised
// one lets the rest pass at once.
func TestQuotaOfAPeer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.secured("", `peers: [{name: hosts, identity: ["*"], quota: {bytes: 1000, every: 1h}}]`)
	s.startBoth()
	first := strings.Repeat("a line of the first file\n", 50)
	s.sh(`printf 'a line of the first file\n%.0s' $(seq 50) >>a.log`) // one write: what a batch cuts in two would stop in between
	s.expect("a.log", first)
	paused := func() bool {
		peers := s.status("receiver").Receiver.Peers
		return len(peers) == 1 && strings.Contains(peers[0].Paused, "peer hosts has used its quota up")
	}
	s.until("the sender is paused", 20*time.Second, paused)
	s.receiver.stop(t)
	s.startReceiver()
	s.until("the sender is paused after a restart", 20*time.Second, paused)
	s.sh("echo later >>b.log")
	s.until("it waits at the sender", 20*time.Second, func() bool {
		for _, f := range s.status("sender").Sender.Flows {
			if f.Queued.Bytes > 0 {
				return f.Balanced()
			}
		}
		return false
	})
	if got := s.received("b.log"); got != "" {
		t.Errorf("got %q beyond the quota", got)
	}
	s.recvX = strings.Replace(s.recvX, "bytes: 1000", "bytes: 1MiB", 1)
	s.hup("receiver")
	s.expect("b.log", "later\n")
	s.expect("a.log", first)
}
