package k2hft

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"ftfuse/internal/config"
)

// Options say what the files do not.
type Options struct {
	Mountpoint   string // of the original; "": the default of ours
	MountOptions string // what -o had, or a whole line of fstab
	// Open reads the files that K2HTPDTOR_CHMPXCONF names; nil: none is read.
	Open func(path string) ([]byte, error)
}

// Result is a translation.
type Result struct {
	Sender   string // sender.yaml; "" if there is no K2HFTFUSE
	Receiver string // receiver.yaml; "" if there is no K2HFTFUSESVR
	Report   Report
}

// Translate writes our configuration from the original's. svr is that of k2hftfusesvr where it is another file, or nil.
// What it writes loads: it is read before it is returned, and a mistake in it is an error.
func Translate(main, svr *Config, o Options) (*Result, error) {
	result := &Result{}
	t := &translator{report: &result.Report, options: o}
	receiver := main
	if svr != nil {
		receiver = svr
	}
	if !main.Has(secMain) && !receiver.Has(secSvr) {
		return nil, fmt.Errorf("%s: %w", main.File, ErrNothing)
	}
	if svr != nil && !svr.Has(secSvr) {
		return nil, fmt.Errorf("%s: got no section %s, want one", svr.File, secSvr)
	}
	for _, c := range []*Config{main, svr} {
		t.included(c)
	}
	if main.Has(secMain) {
		t.src = main
		result.Sender = t.sender()
	} else if o.Mountpoint+o.MountOptions != "" {
		return nil, fmt.Errorf("%s: got a mount, but no section %s to go with it", main.File, secMain)
	}
	if receiver.Has(secSvr) {
		t.src = receiver
		result.Receiver = t.receiver()
	}
	t.report.rest(main)
	if svr != nil {
		t.report.rest(svr)
	}
	return result, result.check()
}

// check loads what was written.
func (r *Result) check() error {
	if r.Sender != "" {
		if _, _, err := config.LoadSender(config.Sources{Text: r.Sender}); err != nil {
			return fmt.Errorf("sender.yaml: %w", err)
		}
	}
	if r.Receiver != "" {
		if _, _, err := config.LoadReceiver(config.Sources{Text: r.Receiver}); err != nil {
			return fmt.Errorf("receiver.yaml: %w", err)
		}
	}
	return nil
}

// translator translates one file after the other.
type translator struct {
	src     *Config
	options Options
	report  *Report
	names   namer // of targets and outputs, which have none in common
	mount   mount
	outputs []*output
	next    *target // of a relay; nil: what comes does not go on
}

// one returns the entry of a key that holds: the last of all sections of a name, which may stand more than once.
func (t *translator) one(section, key string) (held *Entry) {
	for _, s := range t.src.all(section) {
		e := s.last(key)
		if e != nil && held != nil {
			t.report.add(Translated, held, "["+section+"]", whySameName)
		}
		held = cmp.Or(e, held)
	}
	return held
}

func (t *translator) included(c *Config) {
	if c == nil {
		return
	}
	if c.Mended {
		t.report.say(Differs, c.File+": NAME has brackets without quotes around it, which is no YAML; it is read as if they were there")
	}
	for _, file := range c.Included {
		t.report.say(Differs, file+": is read where INCLUDE stands, as documented; the original never reads it")
	}
}

// origin is how comments in what is written say where a value comes from.
func origin(e *Entry) string {
	if e.Place.Included {
		return fmt.Sprintf("%s, line %d of %s", e.Key, e.Place.Line, path.Base(e.Place.File))
	}
	return fmt.Sprintf("%s, line %d", e.Key, e.Place.Line)
}

// namer makes names that are not taken yet.
type namer map[string]bool

// name makes a name of ours from a text.
func (taken namer) name(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		switch {
		case '0' <= c && c <= '9', 'a' <= c|0x20 && c|0x20 <= 'z', c == '_':
			b.WriteByte(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	base := strings.TrimLeft(b.String(), "_-")
	base = strings.TrimRight(base[:min(len(base), 56)], "-")
	if base == "" {
		base = "root"
	}
	name := base
	for i := 2; taken[name]; i++ {
		name = fmt.Sprintf("%s-%d", base, i)
	}
	taken[name] = true
	return name
}

// head begins a file.
func (t *translator) head(p *page, role string) {
	p.note(0, fmt.Sprintf("ftfuse %s, from %s by ftfuse import. Keys that are not here have their default.", role, t.src.File))
	p.note(0, "Comments say where a value comes from; ftfuse check says whether the whole is right.")
}

// relative makes a path below the mount from what the original takes for one. ok is false where there is none.
func relative(text string) (string, bool) {
	clean := strings.TrimPrefix(path.Clean("/"+text), "/")
	for _, part := range strings.Split(text, "/") {
		if part == ".." {
			return "", false
		}
	}
	return clean, sayable(clean) && len(clean) < maxPattern/4
}

// globOf writes a path so that it is a pattern of itself alone.
func globOf(p string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "{", `\{`, "}", `\}`).Replace(p)
}
