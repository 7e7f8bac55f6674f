package config

import (
	"fmt"
	"slices"
	"strings"
)

// leastRate is the least that a target or a peer may be held to, in bytes a second: a batch has to arrive before it is given up.
const leastRate = 64 << 10

// parts are the keys of a section tls that name files, in its order.
func (t TLS) parts() []struct{ key, file string } {
	return []struct{ key, file string }{{"ca", t.CA}, {"cert", t.Cert}, {"key", t.Key}}
}

// checkTLS wants all three files or none.
func (l *loader) checkTLS(at string, t TLS) {
	for _, p := range t.parts() {
		if t.On() && p.file == "" && !l.broken(at+"."+p.key) {
			l.bad(at+"."+p.key, "is missing, want ca, cert and key together", "`ftfuse certs issue` makes a certificate and its key; ca is what `ftfuse certs init` made")
			return
		}
	}
}

// checkTargetTLS judges a target's section tls.
func (l *loader) checkTargetTLS(at string, t Target) {
	files := t.TLS.Files()
	l.checkTLS(at+".tls", files)
	switch {
	case files.On() && t.Insecure:
		l.bad(at+".insecure", "got true, and tls: want one of them", "remove insecure")
	case !files.On() && t.TLS.ServerName != "":
		l.doubt(at+".tls.server_name", "has no effect without ca, cert and key", "add them, or remove it")
	}
}

// checkInTheOpen keeps data from going over a network in the open, unless somebody wrote that it shall. at is the
// target, here the address of one of its members.
func (l *loader) checkInTheOpen(at, here string, t Target, address string) {
	files := t.TLS.Files()
	switch network, _ := Network(address); {
	case files.On() && network == "unix":
		l.bad(at+".tls", "does not go with a unix socket, which does not leave this machine", "remove it")
	case !files.On() && !t.Insecure && !Local(address):
		l.bad(here, address+" is not on this machine, and there is no tls: everybody in between could read and change what is sent, and answer in the receiver's place",
			"add tls: {ca, cert, key} (`ftfuse certs` makes them), or insecure: true where the network is trusted")
	}
}

// checkListenTLS is checkTargetTLS for what a receiver listens on.
func (l *loader) checkListenTLS(c *Receiver) {
	l.checkTLS("tls", c.TLS)
	if c.TLS.On() && c.Insecure {
		l.bad("insecure", "got true, and tls: want one of them", "remove insecure")
	}
	open := slices.IndexFunc(c.Listen, func(a string) bool { return !Local(a) })
	if open >= 0 && !c.TLS.On() && !c.Insecure {
		l.bad("listen", c.Listen[open]+" is reached from other machines, and there is no tls: whoever reaches it could read along, and send in anybody's name",
			"add tls: {ca, cert, key} (`ftfuse certs` makes them), or insecure: true where the network is trusted")
	}
	if c.TLS.On() && len(c.Peers) == 0 {
		l.doubt("tls", "there are no peers: every certificate of its authorities may send as any host", `say who may in peers, as in {name: hosts, identity: ["*.example.net"]}`)
	}
}

// checkPeers judges what single peers may do.
func (l *loader) checkPeers(c *Receiver) {
	for _, p := range c.Peers {
		at := "peers[" + p.Name + "]"
		if len(p.Identity) == 0 {
			l.bad(at+".identity", "got none, want at least one", `write identity: ["*"] for everybody who has a certificate`)
		}
		if p.Bytes > 0 && p.Bytes < leastRate {
			l.bad(at+".bytes", fmt.Sprintf("got %s, want at least %s a second: a batch could not arrive in time", p.Bytes, Size(leastRate)), "write 0 for no limit, or deny: true")
		}
		if p.Quota.Bytes == 0 && l.changed(p, "quota.every") {
			l.doubt(at+".quota.every", "has no effect without quota.bytes", "remove it, or write quota: {bytes: 10GiB, every: 1d}")
		}
		for _, key := range strings.Fields("hosts paths relay connections bytes quota") {
			if p.Deny && l.changed(p, key) {
				l.doubt(at+"."+key, "has no effect with deny: true", "remove one of them")
			}
		}
	}
}
