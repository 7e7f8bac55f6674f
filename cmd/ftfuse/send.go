package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ftfuse/internal/carry"
	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

type sendOptions struct {
	file, to, state, unit string
	again, insecure       bool
	timeout               time.Duration
	as                    carry.As
}

func newSend(t *terminal) *cobra.Command {
	var o sendOptions
	c := &cobra.Command{
		Use:   "send [--to RECEIVER] [OPTION...] FILE... | send --path PATH <DATA",
		Short: "take files, or standard input, to a receiver by hand",
		Long: `Send files as they are now, and end when the receiver has acknowledged all of
them. A file that is sent again brings only what is new: after it has grown,
after an interrupted send, after a crash. What was sent before is read again and
compared; a file that was truncated or changed is said and not sent, unless
--again says that it is to be sent as a new one. Another file under the same
name is a new one.

Without FILE standard input is sent until it ends, under the name that --path
gives. Nothing is remembered of it: who sends the same again sends it twice.

The receiver gets a file under its path below the mount, if it lies below one of
those in sender.yaml, else under its absolute path without the first slash.
Lines are records, and a last one without its end is sent as it is. Rotated and
compressed files are sent as they are: to send the lines of one, say
zcat FILE | ftfuse send --path PATH.

RECEIVER is an address, or a target in sender.yaml, without it the first target.
How far each file is, and under which id, is kept below /var/lib/ftfuse/send, or
$XDG_STATE_HOME/ftfuse/send of other users than root.`,
		Example: `  ftfuse send /var/log/ftfuse/app/today.log
  ftfuse send --to site --path old/app.log ./app.log
  zcat app.log.2.gz | ftfuse send --path app.log`,
		Args: arguments(0, 1_000_000, "FILE..."),
		RunE: func(c *cobra.Command, args []string) error { return send(c, t, &o, args) },
	}
	f := c.Flags()
	f.StringVar(&o.to, "to", "", "send to `RECEIVER`, an address or a target in sender.yaml")
	f.StringVar(&o.as.Path, "path", "", "the receiver gets it as `PATH`; of one file, or standard input")
	f.StringVar(&o.as.Mount, "mount", "", "as of the mount `NAME`; without it the one that it lies below, or send")
	f.StringVar(&o.as.Rule, "rule", "send", "as decided by the rule `NAME`")
	f.StringVar(&o.as.Host, "host", "", "as from the host `NAME`; without it the one in sender.yaml, or this machine's")
	f.StringVar(&o.unit, "unit", "", "what a record is: `line` or binary; without it binary for names of compressed files")
	f.BoolVar(&o.again, "again", false, "send all of it, as if it had never been sent")
	f.BoolVar(&o.insecure, "insecure", false, "send to an address on a network without TLS")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "give up when nothing is acknowledged for `TIME`")
	f.StringVar(&o.state, "state", "", "keep how far files are in `DIR`")
	f.StringVarP(&o.file, "config", "c", "", "sender's configuration `FILE` that names mounts and targets")
	return c
}

// judge finds what does not go together.
func (o *sendOptions) judge(t *terminal, files []string) error {
	wrong := func(format string, args ...any) error {
		return usageError{fmt.Errorf(format, args...), "ftfuse send"}
	}
	switch {
	case len(files) == 0 && o.as.Path == "":
		return wrong("got neither FILE nor --path, want files, or standard input and a name for it")
	case len(files) == 0 && isTerminal(t.in):
		return wrong("got no FILE, and standard input is a terminal: want `... | ftfuse send --path %s`", o.as.Path)
	case len(files) == 0 && o.again:
		return wrong("--again: standard input is always new")
	case len(files) > 1 && o.as.Path != "":
		return wrong("--path: got %d files, want one", len(files))
	case strings.HasPrefix(o.as.Path, "/"), o.as.Path != "" && filepath.Clean(o.as.Path) != o.as.Path, strings.HasPrefix(o.as.Path, ".."):
		return wrong("--path: got %q, want a path as below a mount: no / at its beginning, no . or .. in it", o.as.Path)
	case o.unit != "" && o.unit != "line" && o.unit != "binary":
		return wrong("--unit: got %q, want line or binary", o.unit)
	case o.timeout < 100*time.Millisecond:
		return wrong("--timeout: got %v, want at least 100ms", o.timeout)
	}
	return nil
}

func send(c *cobra.Command, t *terminal, o *sendOptions, files []string) error {
	if err := o.judge(t, files); err != nil {
		return err
	}
	cfg, err := peerConfig(t, o.file)
	if err != nil && (o.to == "" || o.file != "") {
		return err
	}
	e, err := o.receiver(c.Context(), cfg)
	if err != nil {
		return err
	}
	opts, err := o.carrying(t, cfg, e)
	if err != nil {
		return err
	}
	ctx, caught := interrupted(c.Context(), t)
	s := sending{t: t, o: o, opts: opts, cfg: cfg, to: e.title()}
	if len(files) == 0 {
		err = s.pipe(ctx)
	}
	failed := 0
	for i, name := range files {
		if err = s.one(ctx, name); err == nil {
			continue
		}
		failed++
		if i < len(files)-1 && ctx.Err() == nil && !errors.As(err, new(*carry.Refused)) && !errors.Is(err, carry.ErrStalled) {
			t.fail(explainSend(err)) // the next one may be well
			err = errSaid
			continue
		}
		break
	}
	if sig := caught(); sig != nil {
		return exitError{fmt.Errorf("stopped by signal %s before all was acknowledged", sig), exitFailed, s.goOn(len(files) > 0)}
	}
	if failed > 0 && err == nil {
		err = errSaid
	}
	return explainSend(err)
}

// receiver finds who is meant.
func (o *sendOptions) receiver(ctx context.Context, cfg *config.Sender) (endpoint, error) {
	if o.to != "" {
		list, err := find(ctx, cfg, o.to)
		if err != nil {
			return endpoint{}, err
		}
		if e := list[0]; e.target == nil && !o.insecure && e.way.Network != "unix" && !config.Local(e.way.Address) {
			return endpoint{}, exitError{fmt.Errorf("%s is not on this machine, and no target with tls: everybody in between could read what is sent", e.way.Address), exitUsage,
				"name a target of sender.yaml that has tls, or give --insecure where the network is trusted"}
		}
		return list[0], nil
	}
	if cfg != nil {
		if list := everyone(ctx, cfg); len(list) > 0 {
			return list[0], nil
		}
	}
	return endpoint{}, exitError{errors.New("there is nobody to send to"), exitUsage, "name a receiver with --to HOST:PORT; sender.yaml has no targets"}
}

// carrying makes the options of all files.
func (o *sendOptions) carrying(t *terminal, cfg *config.Sender, e endpoint) (carry.Options, error) {
	dir := o.state
	if dir == "" {
		var err error
		if dir, err = stateFolder(t); err != nil {
			return carry.Options{}, err
		}
	}
	folder, err := carry.OpenFolder(dir)
	if err != nil {
		return carry.Options{}, err
	}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // a machine without /proc says nothing of its boot
	if o.as.Host == "" && cfg != nil {
		o.as.Host = cfg.Host
	}
	if o.as.Host == "" {
		if o.as.Host, err = os.Hostname(); err != nil {
			return carry.Options{}, fmt.Errorf("read host name: %w; give it with --host", err)
		}
	}
	opts := carry.Options{
		Folder: folder, To: e.way, Name: e.way.Address, BootID: strings.TrimSpace(string(boot)), Again: o.again, Stall: o.timeout,
		Warn: func(text string) { t.say("warning", yellow, text, "") },
	}
	if e.target != nil {
		opts.Level, opts.Window = e.target.Level, int64(e.target.Window)
		if opts.Codec, err = wire.ParseCodec(e.target.Compression); err != nil {
			return carry.Options{}, err
		}
	}
	return opts, nil
}

// stateFolder is where root, or another user, keeps how far files are.
func stateFolder(t *terminal) (string, error) {
	if os.Geteuid() == 0 {
		return filepath.Join(filepath.Dir(config.DefaultSender().StateDir), "send"), nil
	}
	if dir := t.getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "ftfuse/send"), nil
	}
	home := t.getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", exitError{errors.New("got neither HOME nor XDG_STATE_HOME, want a folder to keep how far files are"), exitUsage, "give it with --state DIR"}
	}
	return filepath.Join(home, ".local/state/ftfuse/send"), nil
}

// sending sends one file after the other.
type sending struct {
	t    *terminal
	o    *sendOptions
	opts carry.Options
	cfg  *config.Sender
	to   string
}

func (s *sending) goOn(file bool) string {
	if file {
		return "the same command goes on where it stopped"
	}
	return ""
}

func (s *sending) one(ctx context.Context, name string) error {
	as, err := s.place(name)
	if err != nil {
		return err
	}
	opts := s.opts
	shown := printable(name)
	opts.Progress = s.progress(shown)
	r, err := opts.File(ctx, name, as)
	s.clear()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s: %s", shown, sentText(r))
	if r.Had > 0 {
		text += fmt.Sprintf(", %s was there", control.Bytes(r.Had))
	}
	fmt.Fprintf(s.t.out, "%s; as %s at %s\n", text, printable(as.Path), s.to)
	if r.Later > 0 {
		s.t.say("warning", yellow, fmt.Sprintf("%s has grown by %s meanwhile, which is not sent", shown, control.Bytes(uint64(r.Later))), "the same command sends that")
	}
	return nil
}

func (s *sending) pipe(ctx context.Context) error {
	as := s.o.as
	as.Unit = unitOf(s.o.unit, as.Path)
	if as.Mount == "" {
		as.Mount = handMount
	}
	opts := s.opts
	opts.Progress = s.progress("standard input")
	r, err := opts.Pipe(ctx, s.t.in, as)
	s.clear()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.t.out, "standard input: %s; as %s at %s\n", sentText(r), printable(as.Path), s.to)
	return nil
}

func sentText(r carry.Result) string {
	if r.Sent == 0 {
		return "nothing new"
	}
	text := fmt.Sprintf("%s and %d records sent in %v", control.Bytes(r.Sent), r.Records, r.Took.Round(time.Millisecond))
	if r.Took > time.Second {
		text += fmt.Sprintf(", %s/s", control.Bytes(uint64(float64(r.Sent)/r.Took.Seconds())))
	}
	return text
}

// handMount is the mount of what lies below none.
const handMount = "send"

// place says under which names a file travels.
func (s *sending) place(name string) (carry.As, error) {
	as := s.o.as
	full, err := filepath.Abs(name)
	if err != nil {
		return as, err
	}
	mount, rest := handMount, strings.TrimPrefix(full, "/")
	if s.cfg != nil {
		dirs := map[string]string{}
		for _, m := range s.cfg.Mounts {
			dirs[m.Name] = m.Path
		}
		if m, below, ok := control.Below(dirs, full); ok {
			mount, rest = m, below
		}
	}
	if as.Mount == "" {
		as.Mount = mount
	}
	if as.Path == "" {
		as.Path = rest
	}
	as.Unit = unitOf(s.o.unit, name)
	return as, nil
}

func unitOf(unit, name string) record.Unit {
	switch {
	case unit == "binary":
		return record.Binary
	case unit == "line":
		return record.Line
	}
	switch filepath.Ext(name) {
	case ".gz", ".xz", ".zst", ".bz2", ".lz4":
		return record.Binary
	}
	return record.Line
}

// explainSend adds what to do.
func explainSend(err error) error {
	var refused *carry.Refused
	switch {
	case err == nil || errors.Is(err, errSaid):
		return err
	case errors.As(err, &refused):
		return exitError{err, exitFailed, refused.Step.Hint}
	case errors.Is(err, carry.ErrChanged):
		return exitError{err, exitFailed, "--again sends all of it as a new file"}
	case errors.Is(err, carry.ErrBusy):
		return exitError{err, exitInUse, "wait for it: `pgrep -af 'ftfuse send'` shows it"}
	case errors.Is(err, carry.ErrStalled):
		return exitError{err, exitFailed, "`ftfuse ping` goes the way step by step; the same command goes on where it stopped"}
	}
	return err
}

// progress shows on a terminal how far it is.
func (s *sending) progress(what string) func(done, total int64) {
	if !isTerminal(s.t.err) {
		return nil
	}
	began, first := time.Now(), int64(-1)
	return func(done, total int64) {
		if first < 0 {
			first = done
		}
		text := control.Bytes(uint64(done))
		if total > 0 {
			text = fmt.Sprintf("%3d %%, %s of %s", 100*done/total, text, control.Bytes(uint64(total)))
		}
		if took := time.Since(began).Seconds(); took > 1 {
			text += fmt.Sprintf(", %s/s", control.Bytes(uint64(float64(done-first)/took)))
		}
		fmt.Fprintf(s.t.err, "\r%s: %s\x1b[K", what, text)
	}
}

func (s *sending) clear() {
	if isTerminal(s.t.err) {
		fmt.Fprint(s.t.err, "\r\x1b[K")
	}
}
