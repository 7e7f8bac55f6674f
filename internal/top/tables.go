package top

import (
	"cmp"
	"slices"
	"strings"

	"ftfuse/internal/control"
)

// The orders of the first table.
var (
	senderOrders   = []string{"busiest", "queued", "dropped", "name"}
	receiverOrders = []string{"busiest", "received", "name"}
)

func (m *Model) orderName() string {
	list := senderOrders
	if m.status.Receiver != nil {
		list = receiverOrders
	}
	return list[m.order%len(list)]
}

// tables are those of the process, at most n characters wide where that can be. Where it is narrow, the numbers of records
// behind those of bytes give way first.
func (m *Model) tables(n int) []*table {
	switch s := &m.status; {
	case s.Sender != nil:
		all := []*table{m.books(n)}
		if len(s.Sender.Peers) > 0 || len(s.Sender.Outputs) == 0 {
			all = append(all, m.targets(s.Sender.Peers))
		}
		if len(s.Sender.Outputs) > 0 {
			all = append(all, m.fed(s.Sender.Outputs))
		}
		return append(all, mounts(s.Sender.Mounts))
	case s.Receiver != nil:
		all := []*table{m.senders(s.Receiver.Peers)}
		if s.Receiver.Relay() {
			all = append(all, m.books(n), m.targets(s.Receiver.Receivers))
		}
		if len(s.Receiver.Outputs) > 0 || !s.Receiver.Relay() {
			all = append(all, m.outputs(s.Receiver.Outputs))
		}
		return all
	}
	return nil
}

// books is the table of what went where.
func (m *Model) books(n int) *table {
	shown, _ := control.Shown(m.status.Delivery().Flows)
	t := m.flows(shown, some)
	if t.wide(n) {
		t = m.flows(shown, someBytes)
	}
	return t
}

// speed shows a rate, where one is known and somebody answers.
func (m *Model) speed(r rate) Span {
	if !m.rates.known || m.away != nil {
		return Span{"-", Dim}
	}
	if r.bytes == 0 {
		return Span{"0", Dim}
	}
	return Span{control.Bytes(uint64(r.bytes)), Plain}
}

// some shows a number that is mostly nothing.
func some(c control.Count, look Look) Span {
	if c == (control.Count{}) {
		return Span{"0", Dim}
	}
	return Span{count(c), look}
}

// someBytes shows only the bytes.
func someBytes(c control.Count, look Look) Span {
	if c == (control.Count{}) {
		return Span{"0", Dim}
	}
	return Span{control.Bytes(c.Bytes), look}
}

func (m *Model) flows(flows []control.Flow, some func(control.Count, Look) Span) *table {
	head := "RULE > TARGET"
	if m.status.Receiver != nil {
		head = "TO TARGET"
	}
	t := &table{none: "nothing has been captured yet", columns: []column{{head: head}, {head: "IN/s", right: true, least: 8}, {head: "OUT/s", right: true, least: 8, spare: 1},
		{head: "REC/s", right: true, least: 5, spare: 2}, {head: "QUEUED", right: true, least: 8}, {head: "FILTERED", right: true, spare: 3}, {head: "DROPPED", right: true}}}
	flows = slices.Clone(flows)
	slices.SortFunc(flows, func(a, b control.Flow) int {
		c := 0
		switch m.orderName() {
		case "busiest":
			x, y := m.rates.flows[flowKey(a)], m.rates.flows[flowKey(b)]
			c = cmp.Compare(y.in.bytes+y.out.bytes, x.in.bytes+x.out.bytes)
		case "queued":
			c = cmp.Compare(b.Queued.Bytes, a.Queued.Bytes)
		case "dropped":
			c = cmp.Compare(b.Dropped.Total().Bytes, a.Dropped.Total().Bytes)
		}
		return cmp.Or(c, strings.Compare(flowKey(a), flowKey(b)))
	})
	for _, f := range flows {
		r := m.rates.flows[flowKey(f)]
		records := Span{control.Number(uint64(r.in.records)), Plain}
		if s := m.speed(r.in); s.Look == Dim {
			records = s
		}
		dropped := Warn
		if r.dropped.bytes > 0 {
			dropped = Bad
		}
		t.rows = append(t.rows, []Span{{control.Plain(f.Name()), Plain}, m.speed(r.in), m.speed(r.out), records,
			some(f.Queued, Plain), some(f.Filtered, Plain), some(f.Dropped.Total(), dropped)})
	}
	return t
}

func (m *Model) targets(peers []control.PeerStatus) *table {
	t := &table{none: "no target is configured", columns: []column{{head: "TARGET"}, {head: "STATE"}, {head: "FOR", right: true, least: 5, spare: 2}, {head: "LAG", right: true, least: 5},
		{head: "RTT", right: true, spare: 1}, {head: "RATE/s", right: true, least: 8}, {head: "ADDRESS", spare: 4}}}
	now := m.status.Now
	for _, p := range peers {
		rtt := Span{"-", Dim}
		if p.RTT > 0 {
			rtt = Span{control.Span(p.RTT), Plain}
		}
		lag := Span{control.Since(now, p.Oldest), Plain}
		if p.Oldest.IsZero() {
			lag.Look = Dim
		}
		where := Span{control.Plain(p.Address), Dim}
		if !p.Connected() && p.Error != "" {
			where = Span{control.Plain(p.Error), Warn}
		}
		t.rows = append(t.rows, []Span{{control.Plain(p.Name()), Plain}, m.state(p.Word()), {control.Since(now, p.Since), Plain}, lag, rtt, m.speed(m.rates.peers[p.Name()]), where})
	}
	return t
}

func mounts(list []control.MountStatus) *table {
	t := &table{none: "no mount is configured", columns: []column{{head: "MOUNT"}, {head: "STATE"}, {head: "OPEN", right: true, spare: 1}, {head: "FILES", right: true, spare: 2}, {head: "PATH", spare: 3}}}
	for _, m := range list {
		look := Good
		if m.State != control.Serving {
			look = Bad
		}
		t.rows = append(t.rows, []Span{{control.Plain(m.Name), Plain}, {control.Plain(m.State), look}, {control.Number(uint64(m.Handles)), Plain}, {control.Number(uint64(m.Files)), Plain},
			{control.Plain(m.Path), Dim}})
	}
	return t
}

func (m *Model) senders(peers []control.SourceStatus) *table {
	t := &table{none: "no sender is connected", columns: []column{{head: "SENDER"}, {head: "STATE"}, {head: "FOR", right: true, least: 5, spare: 3}, {head: "IN/s", right: true, least: 8},
		{head: "REC/s", right: true, least: 5, spare: 2}, {head: "RECEIVED", right: true, spare: 1}, {head: "ADDRESS", spare: 4}}}
	peers = slices.Clone(peers)
	slices.SortFunc(peers, func(a, b control.SourceStatus) int {
		c := 0
		switch m.orderName() {
		case "busiest":
			c = cmp.Compare(m.rates.peers[peerKey(b)].bytes, m.rates.peers[peerKey(a)].bytes)
		case "received":
			c = cmp.Compare(b.Received.Bytes, a.Received.Bytes)
		}
		return cmp.Or(c, strings.Compare(a.Host, b.Host), strings.Compare(peerKey(a), peerKey(b)))
	})
	for _, p := range peers {
		r := m.rates.peers[peerKey(p)]
		records := Span{control.Number(uint64(r.records)), Plain}
		if s := m.speed(r); s.Look == Dim {
			records = s
		}
		state, where := m.state(p.State), Span{control.Plain(p.Address), Dim}
		if p.Error != "" {
			state, where = Span{"not written", Bad}, Span{control.Plain(p.Error), Bad}
		}
		t.rows = append(t.rows, []Span{{control.Plain(p.Host), Plain}, state, {control.Since(m.status.Now, p.Since), Plain}, m.speed(r), records, some(p.Received, Plain), where})
	}
	return t
}

// state shows a state with its look.
func (m *Model) state(s string) Span {
	look := Warn
	if s == "connected" {
		look = Good
	}
	return Span{control.Plain(s), look}
}
