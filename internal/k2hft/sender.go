package k2hft

import (
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"
)

// mount is ours.
type mount struct {
	name, path string
	note       string
	keys       []kv
	umask      int  // -1: not given
	level      *kv  // log.level
	given      bool // the mount point was
}

// kv is one line of what is written; the value is YAML.
type kv struct{ key, value, note string }

// target is one of ours.
type target struct {
	name    string
	keys    []kv
	members []server
}

type server struct{ name, address, note string }

// defaultTarget is the name of the target that rules have where they name none.
const defaultTarget = "default"

// common is what all rules have whose data goes anywhere.
type common struct {
	binary    bool
	keys      []kv
	expire    []kv     // of those that name receivers
	receivers []string // targets, and the archive
}

// sender writes sender.yaml.
func (t *translator) sender() string {
	t.names, t.outputs = namer{}, nil
	t.mount = t.readMount()
	to := t.target()
	all := t.allRules()
	all.receivers = []string{to.name}
	if archive := t.archive(); archive != "" {
		all.receivers = append(all.receivers, archive)
	}
	list := t.rules(all)

	var p page
	t.head(&p, "sender")
	if k := t.mount.level; k != nil {
		p.gap()
		p.line(0, "log:", "")
		p.line(2, k.key+": "+k.value, k.note)
	}
	p.gap()
	t.mount.write(&p)
	p.gap()
	p.line(0, "rules:", "")
	for i, r := range list {
		if i > 0 {
			p.gap()
		}
		r.write(&p)
	}
	p.gap()
	to.write(&p)
	t.writeOutputs(&p)
	return p.String()
}

// allRules reads [K2HFTFUSE].
func (t *translator) allRules() common {
	var b common
	const owner = "[" + secMain + "]"
	get := func(key string) (*Entry, int) {
		e := t.one(secMain, key)
		if e == nil {
			return nil, 0
		}
		n, err := strconv.Atoi(e.Text)
		if err != nil || n < 0 {
			t.report.add(Differs, e, owner, fmt.Sprintf("got %q, want a number: left out", e.Text))
			return nil, 0
		}
		return e, n
	}
	if e := t.one(secMain, "BINTRANS"); e != nil {
		yes, ok := truth(e.Text)
		switch {
		case !ok:
			t.report.add(Differs, e, owner, whyTruth)
		case yes:
			b.binary = true
			b.keys = append(b.keys, kv{"unit", "binary", origin(e)})
			t.report.add(Translated, e, owner, "unit: binary in each rule; pieces are marked, and patterns do not go with it, as in the original")
		default:
			t.report.add(Translated, e, owner, "unit: line, the default")
		}
	}
	if e, n := get("BYTELIMIT"); e != nil {
		b.keys = append(b.keys, t.byteLimit(e, n, b.binary)...)
	}
	lines, n := get("TRANSLINECNT")
	after, seconds := get("TRANSTIMEUP")
	b.keys = append(b.keys, t.batching(lines, n, after, seconds, b.binary)...)
	if e, n := get("EXPIRE"); e != nil {
		switch {
		case n == 0:
			t.report.add(Translated, e, owner, "0 is never, the default, as documented; the original does not start with it")
		case n > 100*365*24*3600:
			t.report.add(Differs, e, owner, "more than a hundred years: never, the default")
		default:
			b.expire = []kv{{"expire", strconv.Itoa(n) + "s", origin(e)}}
			t.report.add(Translated, e, owner, fmt.Sprintf("expire: %ds in each rule that names receivers, for its copies too; what goes is counted, and the receiver is told", n))
		}
	}
	return b
}

// byteLimit translates BYTELIMIT, which counts the line end and one byte more.
func (t *translator) byteLimit(e *Entry, n int, binary bool) []kv {
	const owner = "[" + secMain + "]"
	switch {
	case n == 0:
		t.report.add(Translated, e, owner, "0 is no limit: longer lines travel in pieces")
	case binary:
		t.report.add(Differs, e, owner, "left out: with BINTRANS the original compares whole chunks with it, and drops them")
	case n-1 > 1<<20:
		t.report.add(Differs, e, owner, "left out: above 1MiB lines travel in pieces, and none is dropped")
	default:
		size := max(n-1, 1)
		t.report.add(Translated, e, owner, fmt.Sprintf("max_record: %d and too_long: drop in each rule, counted; the original counts one byte more, and after rewriting", size))
		return []kv{{"max_record", strconv.Itoa(size), origin(e)}, {"too_long", "drop", ""}}
	}
	return nil
}

// batching translates the two limits of a batch, of which a count without a time leaves lines behind.
func (t *translator) batching(lines *Entry, n int, after *Entry, seconds int, binary bool) []kv {
	const owner = "[" + secMain + "]"
	if after != nil && (lines == nil || n == 0) {
		t.report.add(Translated, after, owner, "nothing waits without TRANSLINECNT")
	}
	if lines == nil {
		return nil
	}
	wait := "1s"
	switch {
	case n == 0:
		t.report.add(Translated, lines, owner, "0: lines do not wait for others")
		return nil
	case binary || n > 1<<30:
		t.report.add(Differs, lines, owner, "left out: nothing waits for so much")
		if after != nil {
			t.report.add(Differs, after, owner, "left out with TRANSLINECNT")
		}
		return nil
	case after == nil || seconds == 0:
		t.report.add(Differs, lines, owner, fmt.Sprintf("batch of %d records, as the original sends when there are more than %d, and a wait of 1s: without a time the original leaves lines behind until the next write", n+1, n))
		if after != nil {
			t.report.add(Differs, after, owner, "0 leaves lines behind in the original; here it is 1s")
		}
	default:
		wait = strconv.Itoa(min(seconds, 24*3600)) + "s"
		t.report.add(Translated, lines, owner, fmt.Sprintf("batch.records: %d in each rule, as the original sends when there are more than %d", n+1, n))
		t.report.add(Translated, after, owner, "batch.wait: "+wait+" in each rule; the original takes up to twice as long")
	}
	return []kv{{"batch", fmt.Sprintf("{records: %d, wait: %s}", n+1, wait), origin(lines)}}
}

// archive translates K2HTPDTOR_FILE and returns the name of the output, "" if there is none.
func (t *translator) archive() string {
	e := t.one(secDtor, "K2HTPDTOR_FILE")
	if e == nil || e.Text == "" {
		return ""
	}
	if !strings.HasPrefix(e.Text, "/") {
		t.report.add(Differs, e, "["+secDtor+"]", "left out: want an absolute path")
		return ""
	}
	o := t.fileOutput(e, "archive", path.Clean(e.Text), "["+secDtor+"]")
	o.keys = append(o.keys, kv{"format", "json", "an archive has all attributes"})
	t.report.add(Differs, e, "["+secDtor+"]", "output "+o.name+", which each rule that sends names: one JSON object a line, where the original has k2hash transactions")
	return o.name
}

func (to *target) write(p *page) {
	p.line(0, "targets:", "")
	p.line(2, "- name: "+to.name, "")
	away := false
	if one := to.members[0]; len(to.members) == 1 {
		p.line(4, "address: "+scalar(one.address), one.note)
		away = one.remote()
	} else {
		for _, k := range to.keys {
			p.line(4, k.key+": "+k.value, k.note)
		}
		p.line(4, "members:", "")
		for _, m := range to.members {
			p.line(6, "- {name: "+m.name+", address: "+scalar(m.address)+"}", m.note)
			away = away || m.remote()
		}
	}
	if away {
		p.line(4, "insecure: true", "in the open, as chmpx without SSL; tls: {ca, cert, key} instead, with certificates of `ftfuse certs`")
	}
}

func (m *server) remote() bool {
	host, _, _ := net.SplitHostPort(m.address)
	return !loopback(host)
}
