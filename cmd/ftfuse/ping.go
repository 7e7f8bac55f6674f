package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ftfuse/internal/probe"
	"ftfuse/internal/record"
)

type pingOptions struct {
	file    string
	count   int
	timeout time.Duration
	json    bool
}

func newPing(t *terminal) *cobra.Command {
	var o pingOptions
	c := &cobra.Command{
		Use:   "ping [--count N] [--timeout TIME] [--json] [RECEIVER...]",
		Short: "ask receivers how things are, one step after the other",
		Long: `Go the way to a receiver as the sender does, and say of each step what came of
it: the name (DNS), the connection (TCP), TLS, whether this machine may connect
(authentication), the version of the protocol, how much may be under way
(credit), limits, who the receiver is, how long a question and its answer take
(round trip), and how far the two clocks are apart. Where it fails, it says why
and what to do.

RECEIVER is a target in sender.yaml, a member of one as TARGET/MEMBER, or an
address: HOST:PORT, HOST, unix:/PATH. Without it, all targets are asked. No
data is sent, and the running sender is not disturbed.

With --json it prints an object a line for each receiver. It exits with 1 when
a step failed; a warning is no failure.`,
		Example: `  ftfuse ping
  ftfuse ping logs.example.net:24747 --count 20
  ftfuse ping default --json | jq .round_trip`,
		Args: arguments(0, 1000, "at most 1000 RECEIVERs"),
		RunE: func(c *cobra.Command, args []string) error {
			if o.count < 0 || o.count > 10_000 {
				return usageError{fmt.Errorf("--count: got %d, want 0 to 10000", o.count), "ftfuse ping"}
			}
			if o.timeout < 10*time.Millisecond {
				return usageError{fmt.Errorf("--timeout: got %v, want at least 10ms", o.timeout), "ftfuse ping"}
			}
			return ping(c, t, &o, args)
		},
	}
	f := c.Flags()
	f.IntVarP(&o.count, "count", "n", 5, "send `N` PINGs to measure the round trip; 0 for none")
	f.DurationVar(&o.timeout, "timeout", 5*time.Second, "wait `TIME` in each step, as in 500ms")
	f.BoolVar(&o.json, "json", false, "print JSON, an object a line")
	f.StringVarP(&o.file, "config", "c", "", "sender's configuration `FILE` that names the targets")
	return c
}

func ping(c *cobra.Command, t *terminal, o *pingOptions, args []string) error {
	cfg, err := peerConfig(t, o.file)
	if err != nil && (len(args) == 0 || o.file != "") {
		return err
	}
	var list []endpoint
	for _, name := range args {
		found, err := find(c.Context(), cfg, name)
		if err != nil {
			return err
		}
		list = append(list, found...)
	}
	if len(args) == 0 && cfg != nil {
		list = everyone(c.Context(), cfg)
	}
	if len(list) == 0 {
		return exitError{errors.New("there is nobody to ask"), exitUsage, "name a receiver, as in `ftfuse ping logs.example.net`; sender.yaml has no targets"}
	}
	host, _ := os.Hostname() // only to be told to the receiver
	if cfg != nil && cfg.Host != "" {
		host = cfg.Host // a receiver may let a certificate send as certain hosts only
	}
	ctx, signal := interrupted(c.Context(), t)
	failed := false
	for i, e := range list {
		v := pingView{t: t, json: o.json}
		if !o.json {
			fmt.Fprintf(t.out, "%s%s\n", map[bool]string{true: "\n"}[i > 0], e.title())
		}
		r := probe.Run(ctx, probe.Options{Way: e.way, Host: host, Count: o.count, Timeout: o.timeout, Told: v.step})
		if ctx.Err() != nil {
			break
		}
		failed = failed || r.Failure() != nil
		if o.json {
			if err := json.NewEncoder(t.out).Encode(newPingJSON(e, r)); err != nil {
				return err
			}
		}
	}
	if s := signal(); s != nil {
		return exitError{fmt.Errorf("stopped by signal %s", s), exitFailed, ""}
	}
	if failed {
		return errSaid
	}
	return nil
}

// title is a receiver with its address.
func (e *endpoint) title() string {
	if e.name == e.way.Address {
		return e.name
	}
	return e.name + " at " + e.way.Address
}

// pingView prints steps as they end.
type pingView struct {
	t    *terminal
	json bool
}

func (v *pingView) step(s probe.Step) {
	if v.json {
		return
	}
	mark, colour := "ok", ""
	switch s.Result {
	case probe.Warning:
		mark, colour = "warn", yellow
	case probe.Failed:
		mark, colour = "FAIL", red
	}
	mark = fmt.Sprintf("%-4s", mark)
	if colour != "" && v.t.colourful(v.t.out) {
		mark = colour + mark + reset
	}
	fmt.Fprintf(v.t.out, "  %s  %-14s  %s\n", mark, s.Name, safe([]byte(s.Text)))
	if s.Hint != "" {
		fmt.Fprintf(v.t.out, "  %22shint: %s\n", "", s.Hint)
	}
}

// pingJSON is what --json prints. Times are in milliseconds.
type pingJSON struct {
	Receiver   string         `json:"receiver"`
	Address    string         `json:"address"`
	Remote     string         `json:"remote,omitempty"` // the address that answered
	OK         bool           `json:"ok"`
	Steps      []pingStep     `json:"steps"`
	ID         string         `json:"id,omitempty"`
	Name       string         `json:"name,omitempty"`
	Version    uint64         `json:"version,omitempty"`
	Credit     *uint64        `json:"credit,omitempty"`
	Limits     *pingLimits    `json:"limits,omitempty"`
	RoundTrip  *pingRoundTrip `json:"round_trip,omitempty"`
	Difference *pingClock     `json:"clock,omitempty"`
}

type pingStep struct {
	Step   string       `json:"step"`
	Result probe.Result `json:"result"`
	Text   string       `json:"text"`
	Hint   string       `json:"hint,omitempty"`
	Took   float64      `json:"took"`
}

type pingLimits struct {
	Body   uint64 `json:"body"`
	Chunks uint64 `json:"chunks"`
	Idle   uint64 `json:"idle"`
	Codecs string `json:"codecs"`
}

type pingRoundTrip struct {
	Least  float64 `json:"min"`
	Median float64 `json:"median"`
	Count  int     `json:"count"`
}

type pingClock struct {
	Difference float64 `json:"difference"`
	Doubt      float64 `json:"doubt"`
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func newPingJSON(e endpoint, r *probe.Report) *pingJSON {
	j := &pingJSON{Receiver: e.name, Address: e.way.Address, Remote: r.Remote, OK: r.Failure() == nil}
	for _, s := range r.Steps {
		j.Steps = append(j.Steps, pingStep{s.Name, s.Result, s.Text, s.Hint, millis(s.Took)})
	}
	if !r.Answered {
		return j
	}
	w := &r.Welcome
	j.Version, j.Credit, j.Name = w.Version, &w.Credit, string(w.Name)
	j.Limits = &pingLimits{w.Limits.Body, w.Limits.Chunks, w.Limits.IdleMillis, probe.Codecs(w.Limits)}
	if w.Receiver != (record.SenderID{}) {
		j.ID = w.Receiver.String()
	}
	if n := len(r.RoundTrips); n > 0 {
		least, median := r.RoundTrip()
		j.RoundTrip = &pingRoundTrip{millis(least), millis(median), n}
	}
	if w.Time != 0 {
		j.Difference = &pingClock{millis(r.Difference), millis(r.Doubt)}
	}
	return j
}
