package ingest

import (
	"path"
	"slices"
	"strings"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// Allowance says what those peers may do whose identity it has. The functions must be safe for use by many goroutines.
type Allowance struct {
	Name     string
	Identity func(name string) bool
	Deny     bool                   // nothing is taken from them
	Hosts    func(host string) bool // names that they may send as; nil: those of the identity, of a relay any
	Paths    func(path string) bool // files that they may send; nil: all
	Relay    bool                   // they may bring what others have captured

	Connections int           // at once, of all of them; 0: no limit
	Rate        int64         // bytes of bodies a second, of all of them; 0: no limit
	Quota       int64         // bytes of payload that are stored in each period of Every; 0: no limit
	Every       time.Duration // with a Quota
}

// policy is what SetPeers was given last. A new one takes its place as a whole.
type policy struct{ list []entry } // nil: everybody may do everything

// entry is an allowance with what its peers have used of it.
type entry struct {
	Allowance
	share *share
}

// open is the entry of everybody where there is no policy.
var open = &entry{Allowance: Allowance{Hosts: func(string) bool { return true }, Relay: true}}

// SetPeers replaces what peers may do. Connections that may not go on end; the others go on by the new list. What a name has used
// stays counted, and Regrant gives credit to those who were paused. An empty list lets everybody do everything.
func (s *Server) SetPeers(list []Allowance) {
	p := &policy{}
	s.mu.Lock()
	for _, a := range list {
		sh := s.shares[a.Name]
		if sh == nil {
			sh = newShare()
			s.shares[a.Name] = sh
		}
		sh.set(a)
		p.list = append(p.list, entry{a, sh})
	}
	s.policy.Store(p)
	live := make([]*conn, 0, len(s.peers))
	for _, c := range s.peers {
		live = append(live, c)
	}
	s.mu.Unlock()
	for _, c := range live {
		if err := c.authorize(p, false); err != nil {
			c.interrupt(err)
		}
	}
}

// find returns the first entry that fits an identity, nil if none does.
func (p *policy) find(name string) *entry {
	if len(p.list) == 0 {
		return open
	}
	for i := range p.list {
		if e := &p.list[i]; e.Identity(name) {
			return e
		}
	}
	return nil
}

// authorize lets c go on by p, or says why it may not. limit: a limit of connections holds, as c is new.
func (c *conn) authorize(p *policy, limit bool) error {
	if c.who.Recheck != nil {
		if err := c.who.Recheck(); err != nil {
			return refuse(Untrusted, wire.Denied, 0, "%v", err)
		}
	}
	e := p.find(c.who.Name)
	switch {
	case e == nil:
		return refuse(DeniedPeer, wire.Denied, 0, "%s is in none of the receiver's peers, want an identity that one of them has; add it there", c.who.Name)
	case e.Deny:
		return refuse(DeniedPeer, wire.Denied, 0, "%s may not send: peer %s of the receiver denies it", c.who.Name, e.Name)
	}
	if err := c.mayBe(e, string(c.hello.Host), 0); err != nil {
		return err
	}
	return c.s.enter(c, e, limit)
}

// enter counts c in under e, and out under what it had before.
func (s *Server) enter(c *conn, e *entry, limit bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.left {
		return nil
	}
	before := c.entry.Load()
	if e.share != nil && (before == nil || before.share != e.share) {
		if limit && e.Connections > 0 && e.share.connections >= e.Connections {
			return refuse(TooManyPerPeer, wire.Busy, 0, "got %d connections of peer %s, want at most %d", e.share.connections+1, e.Name, e.Connections)
		}
		e.share.connections++
	}
	if before != nil && before.share != nil && before.share != e.share {
		before.share.connections--
	}
	c.entry.Store(e)
	return nil
}

// goOut counts c out for good. s.mu is held.
func (c *conn) goOut() {
	if e := c.entry.Load(); e != nil && e.share != nil {
		e.share.connections--
	}
	c.left = true
}

// mayBe says whether c may send as host.
func (c *conn) mayBe(e *entry, host string, number uint64) error {
	switch {
	case e.Hosts != nil && e.Hosts(host), e.Hosts == nil && (e.Relay || c.who.Hosts == nil):
		return nil
	case e.Hosts == nil && slices.ContainsFunc(c.who.Hosts, func(own string) bool { return strings.EqualFold(own, host) }):
		return nil
	}
	own := "the patterns in hosts"
	if e.Hosts == nil {
		own = strings.Join(c.who.Hosts, " or ")
	}
	return refuse(DeniedHost, wire.Denied, number, "%s may not send as host %q (peer %q of the receiver): want %s; change host at the sender, or hosts of that peer", c.who.Name, host, e.Name, own)
}

// allowed remembers what was found allowed, for the batches that follow. One goroutine uses it.
type allowed struct {
	by     *entry
	source *record.Source
	files  map[*record.File]struct{}
	captor record.SenderID // of what the peer has sent, where it is no relay; zero: nothing yet
}

// maxAllowed bounds the files that one connection remembers.
const maxAllowed = 1024

// permit refuses a batch that has a chunk which the peer may not send.
func (c *conn) permit(it *item) error {
	e := c.entry.Load()
	if e == open {
		return nil
	}
	k := &c.allowed
	if k.by != e {
		*k = allowed{by: e}
	}
	for i := range it.chunks {
		ch := &it.chunks[i]
		if ch.Source != k.source {
			if err := c.mayBring(e, ch.Source, it.number); err != nil {
				return err
			}
			k.source = ch.Source
		}
		if e.Paths == nil || ch.File == nil {
			continue
		}
		if _, known := k.files[ch.File]; known {
			continue
		}
		if name := ch.File.Path; path.Clean("/"+name) != "/"+name || !e.Paths(name) {
			return refuse(DeniedPath, wire.Denied, it.number, "%s may not send file %q: it is not among the paths of peer %s of the receiver; list it there, or let a rule of the sender keep it",
				c.who.Name, name, e.Name)
		}
		if k.files == nil || len(k.files) >= maxAllowed {
			k.files = map[*record.File]struct{}{}
		}
		k.files[ch.File] = struct{}{}
	}
	return nil
}

// mayBring says whether c may send what comes from s.
func (c *conn) mayBring(e *entry, s *record.Source, number uint64) error {
	if !e.Relay && !c.own(s) {
		return refuse(DeniedRelay, wire.Denied, number, "%s may not bring data of others (of host %q, sender %v): peer %s of the receiver has no relay: true", c.who.Name, s.Host, s.Captor(), e.Name)
	}
	return c.mayBe(e, s.Host, number)
}

// own reports whether c's peer has captured what comes from s. It may have given its streams ids that are derived from its
// own; then all of them name one sender that captured them.
func (c *conn) own(s *record.Source) bool {
	if s.Hops != "" {
		return false
	}
	if s.Sender != c.hello.Sender && s.First == (record.SenderID{}) {
		return false
	}
	if c.allowed.captor == (record.SenderID{}) {
		c.allowed.captor = s.Captor()
	}
	return s.Captor() == c.allowed.captor
}
