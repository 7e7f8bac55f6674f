package k2hft

import (
	"path"
	"strings"

	"ftfuse/internal/format"
)

// receiver writes receiver.yaml.
func (t *translator) receiver() string {
	t.names, t.outputs, t.next = namer{}, nil, nil
	t.mount = mount{path: "/dev/null", umask: -1} // a receiver has none; nothing lies there
	s := t.src.all(secSvr)[0]
	for _, twice := range t.src.all(secSvr)[1:] {
		t.skip(twice, "there is one such section, and the original refuses a second")
	}
	t.received(s)

	var p page
	t.head(&p, "receiver")
	p.gap()
	t.listen(&p)
	if t.next != nil {
		p.gap()
		t.next.write(&p)
	}
	if t.writeOutputs(&p); len(t.outputs) == 0 {
		p.gap()
		p.line(0, "outputs: []", "TYPE trans: everything goes on, and nothing is kept")
	}
	return p.String()
}

// listen says where. chmpx listens on every address of its machine.
func (t *translator) listen(p *page) {
	local, named := true, false
	for _, s := range t.src.all(secSvrNode) {
		names, err := expandHosts(s.text("NAME"), maxNodes)
		for _, n := range names {
			local, named = local && loopback(n), true
		}
		local = local && err == nil
		if e := s.last("NAME"); e != nil {
			t.report.add(Translated, e, "["+secSvrNode+"]", "this receiver and its like: listen says on which addresses")
		}
	}
	if named && local {
		p.line(0, `listen: ["127.0.0.1:`+port+`"]`, "NAME of ["+secSvrNode+"] is this machine itself")
		return
	}
	p.note(0, "On every address of the machine and without encryption, as chmpx does without SSL. Whoever reaches it can send: let a firewall say who may, or take tls: {ca, cert, key} for insecure, with certificates of `ftfuse certs`.")
	p.line(0, `listen: [":`+port+`"]`, "")
	p.line(0, "insecure: true", "")
	t.report.say(Differs, "listen: receivers listen on port "+port+" of every address, whatever PORT said; who may connect is up to the firewall until insecure makes way for tls")
}

// what is written of one receiver.
type received struct {
	*Section
	base, path string
	binary     bool
	keys       []kv // format and what belongs to it
}

const svrOwner = "[" + secSvr + "]"

// received translates [K2HFTFUSESVR].
func (t *translator) received(s *Section) {
	r := received{Section: s, base: "/var/log/ftfuse-received", path: "{path}"}
	files, on := t.kind(s)
	var notes []string
	if on {
		t.nextHop(s)
	} else if e := s.last("TRANSCONF"); e != nil {
		t.report.add(Translated, e, svrOwner, "left out: TYPE hands nothing on")
	}
	if !files && t.next != nil {
		for _, key := range []string{"FILE_BASEDIR", "FILE_UNIFY", "FILE_TIMEFORM", "PLUGIN", "FORMAT", "BINTRANS"} {
			if e := s.last(key); e != nil {
				t.report.add(Translated, e, svrOwner, "left out: TYPE trans writes no files, and everything goes on as it was written")
			}
		}
		return
	}
	if !files {
		notes = append(notes, "TYPE trans: the original hands everything on. Until targets name the next receiver, it is kept here.")
	}
	t.where(&r)
	t.binary(&r)
	t.form(&r)
	if e := s.last("PLUGIN"); e != nil && trim(e.Text) != "" {
		if t.receiverPlugin(&r, e, notes) {
			return
		}
	} else if e != nil {
		t.report.add(Translated, e, svrOwner, "empty: none")
	}
	o := t.output("files", "files")
	o.notes = notes
	o.keys = append([]kv{{"type", "file", ""}}, r.place()...)
	o.keys = append(o.keys, r.keys...)
}

// place are the keys that say where files lie.
func (r *received) place() []kv {
	base := kv{"base", scalar(r.base), "FILE_BASEDIR is not given"}
	if e := r.last("FILE_BASEDIR"); e != nil {
		base.note = origin(e)
	}
	file := kv{"path", scalar(r.path), "the path below the mount, the same for all hosts; {host}/{path} keeps them apart"}
	if e := r.last("FILE_UNIFY"); e != nil && r.path != "{path}" {
		file.note = origin(e)
	}
	return []kv{base, file}
}

// kind reads TYPE and reports whether files are written, and whether what comes goes on.
func (t *translator) kind(s *Section) (files, on bool) {
	e := s.last("TYPE")
	if e == nil {
		return true, false
	}
	switch strings.ToUpper(e.Text) {
	case "F", "FILE":
		t.report.add(Translated, e, svrOwner, "an output of type file")
	case "B", "BOTH":
		t.report.add(Translated, e, svrOwner, "an output of type file, and targets")
		return true, true
	case "T", "TRANS", "TRANSFER":
		t.report.add(Translated, e, svrOwner, "targets: a relay")
		return false, true
	default:
		t.report.add(Differs, e, svrOwner, "the value is none of file, trans and both, and the original skips it: an output of type file")
	}
	return true, false
}

// nextHop reads the servers that TRANSCONF names.
func (t *translator) nextHop(s *Section) {
	e := s.last("TRANSCONF")
	if e == nil || trim(e.Text) == "" {
		t.report.say(Differs, "what comes is to go on, and no TRANSCONF says where: write targets in receiver.yaml, as in sender.yaml")
		return
	}
	c, err := t.readOther(e)
	if err != nil {
		t.report.add(Differs, e, svrOwner, "the file cannot be read, so that its servers are not here: "+err.Error()+". Write targets in receiver.yaml, as in sender.yaml")
		return
	}
	own := t.src
	t.src = c
	defer func() { t.src = own }()
	if to := t.target(); len(to.members) > 0 {
		t.next = &to
		t.report.add(Translated, e, svrOwner, "targets: the servers of that file; what waits for them is bounded by queue.max_size, and senders wait when it is full")
	}
}

// where reads FILE_BASEDIR and FILE_UNIFY.
func (t *translator) where(r *received) {
	if e := r.last("FILE_BASEDIR"); e != nil {
		clean := path.Clean(e.Text)
		switch {
		case !strings.HasPrefix(e.Text, "/") || !sayable(e.Text) || len(e.Text) > maxPattern/4:
			t.report.add(Differs, e, svrOwner, "outputs.base: "+r.base+", as an absolute path in UTF-8 is wanted")
		case t.taken(clean):
			r.base = path.Join(r.base, strings.Trim(strings.ReplaceAll(clean, "/", "-"), "-"))
			t.report.add(Differs, e, svrOwner, "outputs.base: "+r.base+": received files cannot lie beside ours")
		default:
			r.base = clean
			t.report.add(Translated, e, svrOwner, "outputs.base; directories below it are made, where the original drops what it cannot open")
		}
	}
	if e := r.last("FILE_UNIFY"); e != nil {
		clean, ok := relative(e.Text)
		if !ok || clean == "" {
			t.report.add(Differs, e, svrOwner, "left out: want a path below FILE_BASEDIR")
			return
		}
		r.path = path.Join(path.Dir(clean), pathText(path.Base(clean)))
		if strings.ContainsAny(clean, "{}") {
			r.path = pathText(clean)
			t.report.add(Differs, e, svrOwner, "outputs.path: "+r.path+", as braces have a meaning there")
			return
		}
		t.report.add(Translated, e, svrOwner, "outputs.path")
	}
}

func (t *translator) binary(r *received) {
	e := r.last("BINTRANS")
	if e == nil {
		return
	}
	yes, ok := truth(e.Text)
	switch {
	case !ok:
		t.report.add(Differs, e, svrOwner, whyTruth)
	case yes:
		r.binary = true
		t.report.add(Translated, e, svrOwner, "format: raw, the default: bytes as they were written")
	default:
		t.report.add(Translated, e, svrOwner, "says nothing here: the sender's rule says what is a record")
	}
}

// form reads FORMAT and FILE_TIMEFORM.
func (t *translator) form(r *received) {
	e, when := r.last("FORMAT"), r.last("FILE_TIMEFORM")
	raw := func(kind Kind, text string) {
		if e != nil {
			t.report.add(kind, e, svrOwner, text)
		}
		if when != nil {
			t.report.add(Translated, when, svrOwner, "left out: there is no %T to print")
		}
	}
	source := ""
	if e != nil {
		source = e.Text
		if e.Lost {
			source = e.Raw
		}
	}
	out, unknown := format.Translate(source), format.Unknown(source)
	switch {
	case source == "" || out == "%L":
		raw(Translated, "format: raw, the default: bytes as they were written")
		return
	case r.binary:
		raw(Differs, "left out with BINTRANS: the original drops every record then")
		return
	case out == `""` || !sayable(out) || len(out) > maxPattern:
		raw(Differs, "left out: want a format in UTF-8 that prints something")
		return
	}
	r.keys = append(r.keys, kv{"format", "template", ""}, kv{"template", scalar(out), origin(e)})
	var notes []string
	if len(unknown) > 0 {
		notes = append(notes, "not known, and written as text, as the original prints it: "+strings.Join(unknown, " "))
	}
	if e.Lost {
		notes = append(notes, "escapes hold outside of quotes too, as documented; the original's reader takes the backslashes away")
	}
	for _, n := range notes {
		t.report.add(Differs, e, svrOwner, n)
	}
	if len(notes) == 0 {
		t.report.add(Translated, e, svrOwner, "outputs.template: "+out)
	}
	t.timeForm(r, when, strings.Contains(strings.ToUpper(strings.ReplaceAll(out, "%%", "")), "%T"))
}

func (t *translator) timeForm(r *received, e *Entry, used bool) {
	switch {
	case !used && e != nil:
		t.report.add(Translated, e, svrOwner, "left out: there is no %T to print")
	case !used:
	case e == nil || e.Text == "":
		r.keys = append(r.keys, kv{"time_format", `""`, "no FILE_TIMEFORM: %T prints nothing"})
		if e != nil {
			t.report.add(Translated, e, svrOwner, "time_format is empty: %T prints nothing, as in the original")
		}
		t.report.say(Differs, "time_format is empty, as %T prints nothing in the original without FILE_TIMEFORM; without the key it prints the time")
	case !sayable(e.Text) || !clock(e.Text):
		t.report.add(Differs, e, svrOwner, "outputs.time_format: the default, as this is no format of ours")
	default:
		r.keys = append(r.keys, kv{"time_format", scalar(e.Text), origin(e)})
		t.report.add(Translated, e, svrOwner, "outputs.time_format, in the receiver's local time")
	}
}

// clock reports whether a time format is one of ours too.
func clock(s string) bool {
	_, err := format.New(format.Options{Format: "template", Template: "%T ", TimeFormat: s})
	return err == nil
}

// receiverPlugin makes the output that feeds a program; its stdout goes to the file. It reports false where there is
// no program.
func (t *translator) receiverPlugin(r *received, e *Entry, notes []string) bool {
	o := t.newPlugin("plugin", e, svrOwner)
	if o == nil {
		return false
	}
	o.notes = notes
	o.keys = append(o.keys, r.keys...)
	file := path.Join(r.base, r.path)
	if r.path == "{path}" {
		file = path.Join(r.base, "all")
		t.report.say(Differs, "output "+o.name+": one process gets everything and writes "+file+", where the original has a process for each file")
	}
	where := r.place()[0].note
	o.plugin = append(o.plugin, kv{"stdout", "file", ""}, kv{"stdout_file", scalar(file), where})
	return true
}
