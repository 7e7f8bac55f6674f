package node

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/filter"
	"ftfuse/internal/record"
	"ftfuse/internal/rules"
)

// ExplainSender says what a sender with this configuration does with a file, by its path on the machine.
func ExplainSender(cfg *config.Sender, path string) (control.Explanation, error) {
	r, err := newRuling(cfg, nil)
	if err != nil {
		return control.Explanation{}, err
	}
	dirs := map[string]string{}
	for _, m := range cfg.Mounts {
		dirs[m.Name] = m.Path
	}
	return r.explain(dirs, path)
}

// explain is ExplainSender by the rules in force.
func (s *sender) explain(path string) (control.Explanation, error) {
	r := s.ruling.Load()
	e, err := r.explain(s.dirs(), path)
	if err != nil {
		return e, err
	}
	e.Live = true
	for _, m := range s.live() {
		if m.name == e.Mount && e.ExplainedCapture != nil {
			mode, why := m.m.Choose(r.matcher.Decide(e.Mount, e.File()), unix.O_WRONLY|unix.O_APPEND)
			e.CaptureWhy = mode.String() + ": " + why
		}
	}
	return e, nil
}

// explain is what the rules alone know; dirs are the directories of the mounts by name.
func (r *ruling) explain(dirs map[string]string, path string) (control.Explanation, error) {
	mount, rest, ok := control.Below(dirs, path)
	if !ok {
		return control.Explanation{}, control.NotBelow(dirs, path)
	}
	x := r.matcher.Explain(mount, rest)
	e := explanation("sender", x)
	e.Mount = mount
	if !e.Send {
		return e, nil
	}
	e.ExplainedCapture = explainCapture(x.Decision)
	c := config.DefaultRule()
	if i := slices.IndexFunc(r.cfg.Rules, func(c config.Rule) bool { return c.Name == e.Rule }); i >= 0 {
		c = r.cfg.Rules[i]
	}
	rule := r.byName[e.Rule]
	explainFilters(&e, rule, c.Filters, c.Otherwise, c.Sample)
	explainTargets(&e, rule.Filter.Targets(), r.cfg.Targets, r.cfg.Outputs)
	for _, l := range c.Limits {
		e.Limits = append(e.Limits, control.ExplainedLimit{Per: l.Per, Bytes: int64(l.Bytes), Records: l.Records, Burst: l.Burst.String(),
			Quota: int64(l.Quota), Every: l.Every.String()})
	}
	return e, nil
}

// ExplainReceiver says what a receiver with this configuration does with what host sends of a file, by its path below the
// sender's mount.
func ExplainReceiver(cfg *config.Receiver, host, path string) (control.Explanation, error) {
	r, err := newReceived(cfg)
	if err != nil {
		return control.Explanation{}, err
	}
	return r.explain(host, path)
}

// explain is what the rules alone know.
func (r *received) explain(host, path string) (control.Explanation, error) {
	if err := checkBelow(path); err != nil {
		return control.Explanation{}, err
	}
	m, err := r.matcher(host)
	if err != nil {
		return control.Explanation{}, err
	}
	x := m.Explain("", path)
	e := explanation("receiver", x)
	e.Host, e.Send = host, true
	i := slices.IndexFunc(r.cfg.Rules, func(c config.ReceiverRule) bool { return x.Decision.Send && c.Name == e.Rule })
	if i < 0 {
		e.Otherwise, e.Sample = filter.Allow, 1
		e.Targets = r.cfg.Destinations()
		explainTargets(&e, e.Targets, r.cfg.Targets, r.cfg.Outputs)
		return e, nil
	}
	c := r.cfg.Rules[i]
	rule := r.byName[c.Name]
	explainFilters(&e, rule, c.Filters, c.Otherwise, c.Sample)
	explainTargets(&e, rule.Filter.Targets(), r.cfg.Targets, r.cfg.Outputs)
	return e, nil
}

// explain is ExplainReceiver of the rules in force.
func (r *receiver) explain(host, path string) (control.Explanation, error) {
	e, err := r.ruling.Load().explain(host, path)
	e.Live = true
	return e, err
}

// checkBelow wants a path as senders send it.
func checkBelow(p string) error {
	if p == "" || p != strings.TrimPrefix(path.Clean("/"+p), "/") {
		return &control.Error{Status: 400, Text: fmt.Sprintf("got path %q, want one below a sender's mount", p), Hint: "as in nginx/access.log"}
	}
	return nil
}

// explanation is what a matcher knows.
func explanation(role string, x rules.Explanation) control.Explanation {
	e := control.Explanation{Role: role, Rule: x.Decision.Rule, Why: x.Decision.Why, Send: x.Decision.Send}
	e.Of(x.Path)
	for _, c := range x.Candidates {
		e.Candidates = append(e.Candidates, control.Candidate{Rule: c.Rule, Pattern: c.Pattern, Why: c.Why})
	}
	return e
}

func explainCapture(d record.Decision) *control.ExplainedCapture {
	c := &control.ExplainedCapture{Capture: d.Capture.String(), Unit: d.Unit.String(), MaxRecord: d.MaxRecord, TooLong: d.TooLong.String(),
		MaxAge: d.MaxAge.String(), Readback: d.Readback, Expire: d.Expire.String(), WhenFull: d.WhenFull.String(), Block: d.Block.String()}
	if d.Unit == record.Line {
		c.LineEnd = d.LineEnd.String()
	}
	if j := d.Join; j.Start != "" || j.Continue != "" {
		c.JoinStart, c.JoinContinue, c.JoinWait, c.JoinLines = j.Start, j.Continue, j.Wait.String(), j.Lines
	}
	if g := d.Gather; g.Wait > 0 {
		c.BatchBytes, c.BatchRecords, c.BatchWait = g.Bytes, g.Records, g.Wait.String()
	}
	return c
}
