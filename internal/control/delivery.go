package control

// Delivery is what waits in a queue, and who gets it. Senders have it, and receivers that are relays or feed plug-ins.
type Delivery struct {
	Flows   []Flow       // the books
	Queue   *QueueStatus // nil: there is no queue
	Targets []TargetStatus
	Peers   []PeerStatus // the receivers of all targets
}

// Delivery returns that part of a status, whoever's it is. The books of a receiver are those of its targets and plug-ins, with
// no rule: what rules there are is up to those who send.
func (s *Status) Delivery() Delivery {
	if r := s.Receiver; r != nil {
		return Delivery{byTarget(r.Flows), r.Queue, r.Targets, r.Receivers}
	}
	if s.Sender == nil {
		return Delivery{}
	}
	return Delivery{s.Sender.Flows, &s.Sender.Queue, s.Sender.Targets, s.Sender.Peers}
}

// byTarget adds up the flows of each target, in the order of their first ones.
func byTarget(flows []Flow) (sums []Flow) {
	at := map[string]int{}
	for _, f := range flows {
		i, known := at[f.Target]
		if !known {
			i = len(sums)
			at[f.Target] = i
			sums = append(sums, Flow{Target: f.Target, Dropped: Drops{}})
		}
		n := &sums[i]
		n.Captured, n.Delivered = n.Captured.Plus(f.Captured), n.Delivered.Plus(f.Delivered)
		n.Queued, n.Filtered = n.Queued.Plus(f.Queued), n.Filtered.Plus(f.Filtered)
		for why, c := range f.Dropped {
			n.Dropped[why] = n.Dropped[why].Plus(c)
		}
	}
	return sums
}

// Moved returns the bytes and records captured, for however many targets, and delivered to all of them.
func (d Delivery) Moved() (captured, delivered Count) {
	rules := map[string]Count{}
	for _, f := range d.Flows {
		c := rules[f.Rule]
		rules[f.Rule] = Count{max(c.Bytes, f.Captured.Bytes), max(c.Records, f.Captured.Records)}
		delivered = delivered.Plus(f.Delivered)
	}
	for _, c := range rules {
		captured = captured.Plus(c)
	}
	return captured, delivered
}

// Relay reports whether it is that of a receiver that hands on to others.
func (r *ReceiverStatus) Relay() bool { return len(r.Targets) > 0 }
