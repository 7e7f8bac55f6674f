package config

import (
	"fmt"
	"time"
)

// maxMembers bounds the receivers of one target. Balance and hash cut the data into so many parts.
const maxMembers = 64

// checkTarget judges one target; room is what the whole queue may hold.
func (l *loader) checkTarget(at string, t Target, room Size) {
	l.checkBackoff(at+".backoff", t.Backoff)
	if t.Compression != "zstd" && l.changed(t, "level") {
		l.doubt(at+".level", "has no effect with compression: "+t.Compression, "write compression: zstd, or remove it")
	}
	if b := t.RateLimit.Bytes; 0 < b && b < leastRate {
		l.bad(at+".rate_limit.bytes", fmt.Sprintf("got %s, want at least %s a second: receivers give up a batch that comes more slowly", b, Size(leastRate)), "write 64KiB or more, or 0 for no limit")
	}
	if t.RateLimit.Bytes == 0 && l.changed(t, "rate_limit.burst") {
		l.doubt(at+".rate_limit.burst", "has no effect without bytes", "write bytes too, or remove it")
	}
	if t.Backlog > room {
		l.doubt(at+".backlog", fmt.Sprintf("%s is above queue.max_size, which is %s", t.Backlog, room), "lower it, or remove it")
	}
	if 0 < t.MaxAge && t.MaxAge < 10*time.Second {
		l.doubt(at+".max_age", fmt.Sprintf("got %s: receiver and sender would be busy with connections", FormatDuration(t.MaxAge)), "write 10m or more, or 0 for none")
	}
	l.checkTargetTLS(at, t)
	if l.checkMembers(at, t) {
		l.checkPolicy(at, t)
		l.checkUnused(at, t)
	}
}

// checkMembers judges which receivers the target has, and reports whether they are known.
func (l *loader) checkMembers(at string, t Target) bool {
	switch {
	case l.broken(at+".address") || l.broken(at+".members"):
		return false
	case t.Address != "" && len(t.Members) > 0:
		l.bad(at+".members", "got members beside an address, want one of them", `remove address; in a drop-in, write address: ""`)
		return false
	case t.Address == "" && len(t.Members) == 0:
		l.bad(at+".address", "is missing, want an address, or members", "add `address: HOST:"+Port+"`, or `members:` with a name and an address each")
		return false
	case len(t.Members) > maxMembers:
		l.bad(at+".members", fmt.Sprintf("got %d, want at most %d", len(t.Members), maxMembers), "use several targets")
		return false
	}
	first := map[string]string{}
	for _, m := range t.Members {
		here := at + ".members[" + m.Name + "].address"
		if other, taken := first[m.Address]; taken {
			l.bad(here, fmt.Sprintf("got %s, which is member %s's already", quote(m.Address), other), "remove one of them")
			return false
		}
		first[m.Address] = m.Name
	}
	for _, m := range t.Receivers() {
		here := at + ".address"
		if t.Address == "" {
			here = at + ".members[" + m.Name + "].address"
		}
		l.checkInTheOpen(at, here, t, m.Address)
	}
	return true
}

// checkPolicy wants what the policy needs.
func (l *loader) checkPolicy(at string, t Target) {
	list := t.Receivers()
	listed := names(list, nameOfMember)
	if t.Order == "fresh-first" && t.Several() {
		l.bad(at+".order", "fresh-first does not go with policy: "+t.Policy+" and several receivers: they share one place in the queue",
			"write order: fifo, or policy: broadcast or only")
	}
	switch t.Policy {
	case "only":
		if t.Only == "" {
			l.bad(at+".only", "is missing, want the name of a member: "+listNames(listed), "add `only: "+listed[0]+"`")
			return
		}
		l.checkNames(at+".only", []string{t.Only}, destinations{names: listed, noun: "a member"})
		for _, m := range list {
			if m.Name == t.Only && Resolved(m.Address) {
				l.bad(at+".only", fmt.Sprintf("got member %s at %s, want one receiver", m.Name, m.Address), "write HOST:PORT as its address, or another policy")
			}
		}
	case "broadcast":
		for _, m := range list {
			if Resolved(m.Address) {
				l.bad(at+".policy", fmt.Sprintf("broadcast does not go with %s: what waits for a receiver that the DNS forgets would be lost", m.Address),
					"list each receiver by HOST:PORT")
				return
			}
		}
	}
}

// policyKeys are the keys of a target that some policies have no use for, with those that have.
var policyKeys = []struct{ key, policies, hint string }{
	{"only", "only", "write policy: only, or remove it"},
	{"hash", "hash", "write policy: hash, or remove it"},
	{"replicas", "hash", "write policy: hash, or remove it"},
	{"hand_over", "failover balance hash", "remove it"},
	{"return_after", "failover balance hash", "remove it"},
}

// checkUnused doubts what is written and has no effect.
func (l *loader) checkUnused(at string, t Target) {
	resolved := false
	for _, m := range t.Receivers() {
		resolved = resolved || Resolved(m.Address)
		weighs := t.Policy == "balance" || t.Policy == "hash"
		switch here := at + ".members[" + m.Name + "].weight"; {
		case m.Weight == 1:
		case !weighs:
			l.doubt(here, "has no effect with policy: "+t.Policy, "write policy: balance or hash, or remove it")
		case isSRV(m.Address):
			l.doubt(here, "has no effect: SRV records have weights of their own", "remove it")
		}
	}
	if !resolved && l.changed(t, "resolve") {
		l.doubt(at+".resolve", "has no effect: every new connection asks anew for what is no dns: or srv: address", "remove it")
	}
	single := !resolved && len(t.Receivers()) == 1
	if single && l.changed(t, "policy") && t.Policy != "only" {
		l.doubt(at+".policy", "has no effect with one receiver", "list more than one in members, or remove it")
	}
	for _, k := range policyKeys {
		switch {
		case !l.changed(t, k.key):
		case !hasWord(k.policies, t.Policy):
			l.doubt(at+"."+k.key, "has no effect with policy: "+t.Policy, k.hint)
		case single && t.Policy != "only":
			l.doubt(at+"."+k.key, "has no effect with one receiver", "list more than one in members, or remove it")
		}
	}
	if n := len(t.Members) - 1; !resolved && n > 0 && t.Policy == "hash" && t.Replicas > n {
		l.doubt(at+".replicas", fmt.Sprintf("got %d, and only %d others can stand in", t.Replicas, n), "write 0 for all of them")
	}
}
