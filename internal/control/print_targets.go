package control

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// targetTable shows targets and their receivers; those of one that has several stand below it.
func targetTable(targets []TargetStatus, peers []PeerStatus, now time.Time) *table {
	t := &table{head: []string{"TARGET", "STATE", ">FOR", ">WAITING", ">OLDEST", ">RATE", "ADDRESS"}}
	for _, g := range targets {
		if g.Policy != "" {
			t.add(cell{g.Name, noColour}, cell{g.Policy, noColour}, cell{}, cell{}, cell{since(now, g.Oldest), noColour}, cell{}, cell{})
			t.note(dim, reachable(g.Name, peers))
			targetNotes(t, &g, peers, now)
		}
		for i := range peers {
			if p := &peers[i]; p.Target == g.Name {
				peerRow(t, p, now)
			}
		}
		if g.Policy == "" {
			targetNotes(t, &g, peers, now)
		}
	}
	return t
}

// reachable says how many members of a target there are, and how many are connected.
func reachable(target string, peers []PeerStatus) string {
	all, connected := 0, 0
	for i := range peers {
		if p := &peers[i]; p.Target == target && p.Class == "" {
			if all++; p.Connected() {
				connected++
			}
		}
	}
	return fmt.Sprintf("%d of %s connected", connected, plural(all, "member"))
}

func targetNotes(t *table, g *TargetStatus, peers []PeerStatus, now time.Time) {
	if g.HandOvers > 0 {
		t.note(yellow, "handed over "+plural(int(g.HandOvers), "time"))
	}
	if g.Uncertain != (Count{}) {
		t.note(yellow, "may be at two receivers: "+inWords(g.Uncertain))
	}
	if g.DNS != "" {
		holds := "its last answer holds"
		if !slices.ContainsFunc(peers, func(p PeerStatus) bool { return p.Target == g.Name }) {
			holds = "and there was no answer before: all waits"
		}
		t.note(yellow, fmt.Sprintf("for %s the DNS does not tell, %s: %s", since(now, g.DNSSince), holds, oneLine(g.DNS)))
	}
}

func peerRow(t *table, p *PeerStatus, now time.Time) {
	name, indent := p.Target, ""
	if p.Member != "" {
		name, indent = "  "+p.Member, "  "
	}
	oldest, waiting := cell{since(now, p.Oldest), noColour}, cell{humanBytes(p.Waiting.Bytes), noColour}
	t.add(cell{plain(name), noColour}, state(p.Word()), cell{since(now, p.Since), noColour}, waiting, oldest,
		cell{humanBytes(uint64(p.ByteRate)) + "/s", noColour}, whereabouts(p.Address, p.TLS, p.Identity))
	if p.Sent != (Count{}) {
		t.note(dim, indent+fmt.Sprintf("sent %s; acknowledged %s", inWords(p.Sent), inWords(p.Acked)))
	}
	if p.Old != (Count{}) {
		t.note(dim, indent+fmt.Sprintf("what is captured now goes past what waited: %s old, %s fresh", humanBytes(p.Old.Bytes), humanBytes(p.Fresh.Bytes)))
	}
	var more []string
	if p.InFlight > 0 {
		more = append(more, humanBytes(p.InFlight)+" under way")
	}
	if p.RTT > 0 {
		more = append(more, "round trip "+humanFor(p.RTT))
	}
	if p.Reconnects > 0 {
		more = append(more, fmt.Sprintf("connected %s times", humanCount(p.Reconnects+1)))
	}
	if p.Machine != "" && p.Member != "" {
		more = append(more, "receiver "+plain(p.Machine))
	}
	if len(more) > 0 {
		t.note(dim, indent+strings.Join(more, ", "))
	}
	if p.Error != "" {
		t.note(yellow, indent+fmt.Sprintf("last error, %s ago: %s", since(now, p.ErrorAt), oneLine(p.Error)))
	}
}
