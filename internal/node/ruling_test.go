package node

import (
	"testing"
	"time"

	"ftfuse/internal/config"
	"ftfuse/internal/record"
	"ftfuse/internal/refine"
)

// A reload gives nobody a new allowance: limits that stay as they are go on, also with what passes while the new rules are made,
// and a quota of another size has counted what it had.
func TestLimitsOutliveAReload(t *testing.T) {
	const ever = 10_000 * 24 * time.Hour // one window
	rate := func(n int) config.Limit {
		return config.Limit{Per: "rule", Records: n, Burst: time.Second, Every: ever}
	}
	quota := func(per string, n config.Size) config.Limit {
		return config.Limit{Per: per, Quota: n, Burst: time.Second, Every: ever}
	}
	for name, c := range map[string]struct {
		before, after config.Limit
		late          bool // the new rules are made when the data has passed
		passes        int  // lines of three that pass by the new rules
	}{
		"the same rate":             {rate(2), rate(2), false, 0},
		"another rate":              {rate(2), rate(1), false, 1},
		"the same quota":            {quota("rule", 7), quota("rule", 7), false, 0},
		"a larger quota":            {quota("rule", 7), quota("rule", 10), true, 2},
		"a quota of something else": {quota("rule", 7), quota("uid", 7), true, 3},
	} {
		t.Run(name, func(t *testing.T) {
			ruled := func(limit config.Limit, before *ruling) *ruling {
				cfg, rule := config.DefaultSender(), config.DefaultRule()
				rule.Name, rule.Match, rule.Limits = "all", []string{"**"}, []config.Limit{limit}
				cfg.Rules = []config.Rule{rule}
				r, err := newRuling(&cfg, before)
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			old, now := ruled(c.before, nil), time.Now()
			s := refine.New(refine.Options{Now: func() time.Time { return now }}, old.table)
			file, source, writer := &record.File{Path: "p"}, &record.Source{}, &record.Writer{Kind: record.Thread}
			passed := func() (n int) {
				c := record.Chunk{Source: source, File: file, Writer: writer, Len: 6, Records: 3, Data: []byte("1\n2\n3\n")}
				for _, o := range s.Refine([]record.Chunk{c}) {
					n += int(o.Records)
				}
				return n
			}
			next := ruled(c.after, old)
			if passed() == 0 {
				t.Fatal("nothing passes before the reload, want some lines")
			}
			if c.late {
				next = ruled(c.after, old)
			}
			s.Swap(next.table)
			if got := passed(); got != c.passes {
				t.Errorf("%d lines pass by the new rules, want %d", got, c.passes)
			}
		})
	}
}
