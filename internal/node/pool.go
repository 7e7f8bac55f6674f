package node

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"ftfuse/internal/config"
	"ftfuse/internal/pace"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
	"ftfuse/internal/resolve"
	"ftfuse/internal/share"
	"ftfuse/internal/uplink"
)

// pool is the receivers of a target that share what waits for it.
type pool struct {
	outlet outlet
	d      *delivery
	view   view
	line   *pace.Line
	share  *share.Share
	watch  *resolve.Watch

	mu    sync.Mutex              // guards outlet.members and the rest
	links map[share.Member]*link  // weights left out
	hosts map[share.Member]string // what a certificate has to name
}

// link is the connection of a member, and the lane that it is for.
type link struct {
	lane     *share.Lane
	up       *uplink.Uplink
	identity *identity
}

func (d *delivery) newPool(o outlet, cur *queue.Cursor, line *pace.Line) (*pool, error) {
	p := &pool{outlet: o, d: d, view: d.streams(o, cur), line: line,
		links: map[share.Member]*link{}, hosts: map[share.Member]string{}}
	t := o.target
	log := d.log.With("part", "uplink", "target", o.cursor)
	var err error
	p.share, err = share.New(share.Options{
		Policy:  map[string]share.Policy{"failover": share.Failover, "balance": share.Balance, "hash": share.Hash}[t.Policy],
		Backlog: p.view.backlog, Sender: p.view.sender, Handed: cur.Handed, Key: hashKeys[t.Hash], By: t.Hash,
		Replicas: t.Replicas, HandOver: t.HandOver, ReturnAfter: max(t.ReturnAfter, time.Nanosecond), Bound: int64(t.Window) * 3 / 2,
		Run: p.connect, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	p.watch = resolve.New(resolve.Options{Members: listed(o.members), FirstOf: t.Policy != "failover", Every: t.Resolve, Logger: log, Changed: p.changed})
	p.changed(p.watch.Receivers())
	return p, nil
}

func listed(members []config.Member) (list []resolve.Listed) {
	for _, m := range members {
		list = append(list, resolve.Listed{Name: m.Name, Address: m.Address, Weight: m.Weight})
	}
	return list
}

// hashKeys say by what a target's data is told apart.
var hashKeys = map[string]func(*record.Chunk) string{
	"sender":  func(c *record.Chunk) string { id := c.Source.Captor(); return string(id[:]) },
	"host":    func(c *record.Chunk) string { return c.Source.Host },
	"path":    ofFile(func(f *record.File) string { return f.Path }),
	"mount":   ofFile(func(f *record.File) string { return f.Mount }),
	"rule":    ofFile(func(f *record.File) string { return f.Rule }),
	"unit":    ofWriter(func(w *record.Writer) string { return w.Unit }),
	"uid":     ofWriter(func(w *record.Writer) string { return strconv.FormatUint(uint64(w.UID), 10) }),
	"command": ofWriter(func(w *record.Writer) string { return w.Comm }),
}

func ofFile(key func(*record.File) string) func(*record.Chunk) string {
	return func(c *record.Chunk) string {
		if c.File == nil { // as that of a gap can be
			return ""
		}
		return key(c.File)
	}
}

func ofWriter(key func(*record.Writer) string) func(*record.Chunk) string {
	return func(c *record.Chunk) string {
		if c.Writer == nil {
			return ""
		}
		return key(c.Writer)
	}
}

// run shares out what waits until ctx ends. It begins when the DNS has been asked once, so that no member is passed over.
func (p *pool) run(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.watch.Run(watching) }) // which never fails
	defer wg.Wait()
	defer stop()
	select {
	case <-p.watch.First():
	case <-ctx.Done():
		return nil
	}
	return p.share.Run(ctx)
}

// who is m, whatever it weighs.
func who(m share.Member) share.Member { return share.Member{Name: m.Name, Address: m.Address} }

// changed takes a list of receivers over.
func (p *pool) changed(list []resolve.Receiver) {
	members, hosts := make([]share.Member, len(list)), map[share.Member]string{}
	for i, r := range list {
		members[i] = share.Member{Name: r.Name, Address: r.Address, Weight: r.Weight}
		hosts[who(members[i])] = r.Host
	}
	p.mu.Lock()
	p.hosts = hosts
	p.mu.Unlock()
	if err := p.share.SetMembers(members); err != nil {
		p.d.log.Error("target: its new members cannot be used, the old ones stay", "target", p.outlet.cursor, "error", err)
	}
}

// set takes other members over from the configuration, while the others go on.
func (p *pool) set(o outlet) {
	p.mu.Lock()
	p.outlet.members = o.members
	p.mu.Unlock()
	p.watch.Set(listed(o.members))
}

// connect keeps the connection of one member. It is Options.Run of the share.
func (p *pool) connect(ctx context.Context, m share.Member, lane *share.Lane) error {
	up, err := p.uplink(m, lane)
	if err != nil {
		return fmt.Errorf("member %s: %w", m.Name, err)
	}
	defer p.forget(m)
	return up.Run(ctx)
}

// forget drops the connection of one that is not a member any more. Of the others it stays, as it remembers what was sent.
func (p *pool) forget(m share.Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.hosts[who(m)]; !known {
		delete(p.links, who(m))
	}
}

// uplink is the connection of a lane, made when it is needed first.
func (p *pool) uplink(m share.Member, lane *share.Lane) (*uplink.Uplink, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.links[who(m)]; l != nil && l.lane == lane {
		return l.up, nil
	}
	l := &link{lane: lane, identity: &identity{}}
	u := p.d.uplink(p.outlet, p.line, m.Address, p.hosts[who(m)], l.identity)
	dial := u.Dial
	u.Dial = func(ctx context.Context) (net.Conn, error) {
		nc, err := dial(ctx)
		if err != nil {
			p.watch.Ask()
		}
		return nc, err
	}
	u.Backlog, u.Watch, u.Several, u.Own = lane, lane, true, p.share.Own
	u.Streams = func() []record.Stream { return p.share.Streams(p.view.list()) }
	u.Identity.Sender = p.view.sender
	u.Logger = u.Logger.With("target", p.outlet.cursor, "member", m.Name)
	var err error
	if l.up, err = uplink.New(u); err != nil {
		return nil, err
	}
	p.links[who(m)] = l
	return l.up, nil
}

// statusOf tells how a member's connection fares; the zero Status if it has had none.
func (p *pool) statusOf(m share.Member) (st uplink.Status, identity string) {
	p.mu.Lock()
	l := p.links[who(m)]
	p.mu.Unlock()
	if l == nil {
		return st, ""
	}
	return l.up.Status(), l.identity.String()
}
