package e2e

import (
	"fmt"
	"math/rand"
	"strings"
)

// shapes are the kinds of topologies that a schedule may have.
var shapes = []func(*fleet, *rand.Rand){
	(*fleet).each, (*fleet).each, (*fleet).shared, (*fleet).shared, (*fleet).named, (*fleet).staged,
}

// shape makes senders, relays and receivers. A new kind of topology is a new row of shapes.
func (f *fleet) shape(rnd *rand.Rand) {
	shapes[rnd.Intn(len(shapes))](f, rnd)
	for _, s := range f.stations {
		for _, r := range s.routes {
			f.t.Logf("%s sends to %v", s.name, r)
		}
	}
}

// each: senders have a target with one receiver, or several of those.
func (f *fleet) each(rnd *rand.Rand) {
	receivers := f.receivers(1 + rnd.Intn(2))
	for i := range 1 + rnd.Intn(3) {
		routes := []route{to(receivers[rnd.Intn(len(receivers))])}
		if rnd.Intn(4) == 0 { // a target each
			routes = nil
			for _, r := range receivers {
				routes = append(routes, to(r))
			}
		}
		f.sender(fmt.Sprintf("s%d", i+1), routes...)
	}
}

// shared: a target of each sender's has several receivers.
func (f *fleet) shared(rnd *rand.Rand) {
	receivers := f.receivers(2 + rnd.Intn(2))
	policy := policies[rnd.Intn(len(policies))]
	for i := range 1 + rnd.Intn(2) {
		rnd.Shuffle(len(receivers), func(i, j int) { receivers[i], receivers[j] = receivers[j], receivers[i] })
		f.sender(fmt.Sprintf("s%d", i+1), route{policy: policy, members: append([]*station{}, receivers...), more: aged(rnd)})
	}
}

// named: the DNS says who shares what a sender sends, and has said it before they are known.
func (f *fleet) named(rnd *rand.Rand) {
	f.called = f.receivers(2 + rnd.Intn(2))
	f.alias(f.called...)
	policy := policies[rnd.Intn(len(policies)-1)]
	for i := range 1 + rnd.Intn(2) {
		r := named(policy, addresses, f.called...)
		r.more = aged(rnd)
		f.sender(fmt.Sprintf("s%d", i+1), r)
	}
}

// policies end with the one that the DNS says no members of.
var policies = []string{"failover", "balance", "hash, hash: path", "hash, hash: rule, replicas: 1", "broadcast"}

// staged: what senders have comes to one receiver by two relays, of which each may answer for itself, or for what is behind it.
func (f *fleet) staged(rnd *rand.Rand) {
	last := f.receiver("r1")
	var relays []*station
	for i := range 2 {
		r := to(last)
		r.ack, r.more = []string{"hop", "end"}[rnd.Intn(2)], aged(rnd)
		relays = append(relays, f.receiver(fmt.Sprintf("relay%d", i+1), r))
	}
	policy := []string{"failover", "failover", "balance"}[rnd.Intn(3)]
	for i := range 1 + rnd.Intn(2) {
		rnd.Shuffle(len(relays), func(i, j int) { relays[i], relays[j] = relays[j], relays[i] })
		f.sender(fmt.Sprintf("s%d", i+1), route{policy: policy, members: append([]*station{}, relays...), more: aged(rnd)})
	}
}

func (f *fleet) receivers(n int) (list []*station) {
	for i := range n {
		list = append(list, f.receiver(fmt.Sprintf("r%d", i+1)))
	}
	return list
}

// aged has connections made anew every other second, or not.
func aged(rnd *rand.Rand) string {
	if rnd.Intn(3) == 0 {
		return ", max_age: 2s"
	}
	return ""
}

func (r route) String() string {
	var names []string
	for _, m := range r.members {
		names = append(names, m.name)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s%s", r.policy, r.names, strings.Join(names, ", "), r.ack, r.more))
}
