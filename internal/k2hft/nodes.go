package k2hft

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	maxNodes   = 256 // servers that one configuration names
	maxMembers = 64  // of them in one target
)

// target translates the servers of chmpx, which are one target.
func (t *translator) target() target {
	from := t.connection()
	var hosts []server
	for _, s := range from.all(secSvrNode) {
		hosts = append(hosts, t.servers(s, len(hosts))...)
	}
	if len(hosts) == 0 {
		hosts = []server{{address: "127.0.0.1:" + port, note: "the original names no server: put yours here"}}
		t.report.say(Differs, "no server is named: target default is a receiver on this machine; put the address of yours there")
	}
	to := target{name: t.names.name(defaultTarget), keys: t.policy(from, len(hosts))}
	if len(hosts) > maxMembers {
		t.report.say(Differs, fmt.Sprintf("%d servers are named: target default has the first %d, as many as a target can have", len(hosts), maxMembers))
		hosts = hosts[:maxMembers]
	}
	names := namer{}
	for _, h := range hosts {
		host, _, _ := net.SplitHostPort(h.address)
		h.name = names.name(host)
		to.members = append(to.members, h)
	}
	return to
}

// policy says which of several servers gets what.
func (t *translator) policy(from *Config, hosts int) []kv {
	all, by := t.broadcast(), (*Entry)(nil)
	var copies *Entry
	for _, s := range from.all(secGlobal) {
		if e := s.last("DELIVERMODE"); e != nil {
			by = e
		}
		if e := s.last("REPLICA"); e != nil {
			copies = e
		}
	}
	hashed := by != nil && strings.EqualFold(strings.TrimSpace(by.Text), "hash")
	switch {
	case hosts == 1:
		t.unused("there is one server", by, copies)
		return nil
	case all:
		t.unused("with K2HTPDTOR_BROADCAST every server gets everything", by, copies)
		return []kv{{"policy", "broadcast", "K2HTPDTOR_BROADCAST"}}
	case !hashed:
		if by != nil {
			t.report.add(Translated, by, "["+secGlobal+"]", "policy: balance. What is written through one open file stays in order at one server")
		}
		t.unused("without DELIVERMODE=hash", copies)
		return []kv{{"policy", "balance", "as DELIVERMODE=random spreads lines"}}
	}
	t.report.add(Differs, by, "["+secGlobal+"]", "policy: hash, by the path of the file: its lines stay in order at one server")
	keys := []kv{{"policy", "hash", origin(by)}}
	if copies == nil {
		return keys
	}
	n, err := strconv.Atoi(strings.TrimSpace(copies.Text))
	if err != nil || n < 1 || n > maxMembers-1 {
		t.report.add(Differs, copies, "["+secGlobal+"]", "left out: any other server stands in for one that is down, and no data is at two at once")
		return keys
	}
	t.report.add(Differs, copies, "["+secGlobal+"]", fmt.Sprintf("replicas: %d: so many others may stand in for a server that is down; no data is at two at once", n))
	return append(keys, kv{"replicas", strconv.Itoa(n), origin(copies)})
}

// unused reports entries that have no effect, and why.
func (t *translator) unused(why string, entries ...*Entry) {
	for _, e := range entries {
		if e != nil {
			t.report.add(None, e, "["+secGlobal+"]", "no effect: "+why)
		}
	}
}

// broadcast reads K2HTPDTOR_BROADCAST.
func (t *translator) broadcast() bool {
	e := t.one(secDtor, "K2HTPDTOR_BROADCAST")
	if e == nil {
		return false
	}
	yes, ok := truth(e.Text)
	switch {
	case !ok:
		t.report.add(Differs, e, "["+secDtor+"]", whyTruth)
	case yes:
		t.report.add(Translated, e, "["+secDtor+"]", "policy: broadcast")
	default:
		t.report.add(Translated, e, "["+secDtor+"]", "each line goes to one server")
	}
	return yes
}

// connection returns the configuration that has the servers: this one, or that of K2HTPDTOR_CHMPXCONF.
func (t *translator) connection() *Config {
	e := t.one(secDtor, "K2HTPDTOR_CHMPXCONF")
	if e == nil || e.Text == "" {
		return t.src
	}
	c, err := t.readOther(e)
	if err != nil {
		t.report.add(Differs, e, "["+secDtor+"]", "the file cannot be read, so that its servers are not here: "+err.Error())
		return &Config{}
	}
	t.report.add(Translated, e, "["+secDtor+"]", "the servers are those of that file")
	return c
}

// readOther reads the configuration that an entry names, or that is its value, as JSON.
func (t *translator) readOther(e *Entry) (*Config, error) {
	for _, text := range []string{e.Raw, e.Text} { // with the quotes of JSON, where the value has none around it
		if strings.HasPrefix(text, "{") {
			return Read(e.Key+".json", []byte(text), t.options.Open)
		}
	}
	if t.options.Open == nil {
		return nil, errors.New("want a configuration in one file")
	}
	name := e.Text
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(e.Place.File), name)
	}
	text, err := t.options.Open(name)
	if err != nil {
		return nil, err
	}
	return Read(name, text, t.options.Open)
}

// servers translates one SVRNODE, whose name may stand for several.
func (t *translator) servers(s *Section, before int) []server {
	e := s.last("NAME")
	if e == nil {
		return nil
	}
	names, err := expandHosts(e.Text, maxNodes-before)
	if err == nil && len(names) == 0 {
		err = errors.New("no name")
	}
	for _, n := range names {
		if !hostName(n) {
			err = fmt.Errorf("%q, which is no host name", n)
		}
	}
	if err != nil {
		t.report.add(Differs, e, "["+secSvrNode+"]", "left out: got "+err.Error())
		return nil
	}
	var out []server
	for _, n := range names {
		out = append(out, server{address: net.JoinHostPort(n, port), note: origin(e) + " of [" + secSvrNode + "]"})
	}
	t.report.add(Translated, e, "["+secSvrNode+"]", "target "+defaultTarget+": "+strings.Join(names, ", "))
	return out
}

// loopback reports whether host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// hostName reports whether s is a host's name or address as far as anybody can see.
func hostName(s string) bool {
	if net.ParseIP(s) != nil {
		return true
	}
	for _, c := range []byte(s) {
		if c != '-' && c != '.' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= 253
}

// expandHosts reads names such as web[1-3,a-c].example.com, several of them with commas between.
func expandHosts(s string, most int) ([]string, error) {
	var out []string
	depth, start := 0, 0
	cut := func(end int) error {
		one := trim(s[start:end])
		start = end + 1
		if one == "" {
			return nil
		}
		list, err := expandHost(one, most-len(out))
		out = append(out, list...)
		return err
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '[':
			depth++
		case s[i] == ']':
			depth--
		case s[i] == ',' && depth == 0:
			if err := cut(i); err != nil {
				return nil, err
			}
		}
	}
	return out, cut(len(s))
}

func expandHost(s string, most int) ([]string, error) {
	open := strings.IndexByte(s, '[')
	if open < 0 {
		if most < 1 {
			return nil, fmt.Errorf("more than %d servers", maxNodes)
		}
		return []string{s}, nil
	}
	end := strings.IndexByte(s, ']')
	if end < open {
		return nil, fmt.Errorf("%q, a [ without its ]", s)
	}
	choices, err := ranges(s[open+1 : end])
	if err != nil {
		return nil, err
	}
	var out []string
	for _, c := range choices {
		list, err := expandHost(s[:open]+c+s[end+1:], most-len(out))
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// ranges reads 1-3,a-c,x.
func ranges(s string) ([]string, error) {
	var out []string
	for _, one := range strings.Split(s, ",") {
		one = trim(one)
		low, high, found := strings.Cut(one, "-")
		low, high = trim(low), trim(high)
		from, err1 := strconv.ParseUint(low, 10, 31)
		to, err2 := strconv.ParseUint(high, 10, 31)
		letters := len(low) == 1 && len(high) == 1 && low[0]|0x20 >= 'a' && high[0]|0x20 <= 'z' && low[0]&0x20 == high[0]&0x20
		switch {
		case one == "":
		case !found:
			out = append(out, one)
		case err1 == nil && err2 == nil && from <= to && to-from < maxNodes:
			for n := from; n <= to; n++ {
				out = append(out, strconv.FormatUint(n, 10))
			}
		case err1 == nil && err2 == nil && from <= to:
			return nil, fmt.Errorf("[%s], more than %d servers", s, maxNodes)
		case letters && low[0] <= high[0]:
			for c := low[0]; c <= high[0]; c++ {
				out = append(out, string(c))
			}
		default:
			return nil, fmt.Errorf("[%s], want ranges such as 1-3 or a-c", s)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("[%s], want names or ranges", s)
	}
	return out, nil
}
