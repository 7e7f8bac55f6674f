package k2hft

import (
	"testing"

	"ftfuse/internal/config"
	filters "ftfuse/internal/filter"
	"ftfuse/internal/record"
)

// What the documented patterns of the samples do to lines, by the filters themselves: the wanted texts are what regcomp(3)
// and the original's replacement give.
func TestFiltersDoWhatThePatternsSay(t *testing.T) {
	r, err := Translate(sample(t, "sender.ini"), nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := config.LoadSender(config.Sources{Text: r.Sender})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ rule, in, want string }{
		{"any-log", "INFO: up\n", "INFO: up\n"},
		{"any-log", "an Error here\r\n", "an Error here\r\n"},
		{"any-log", "nothing\n", ""},
		{"log-test-log", "a Warning\n", "a Warning\n"},
		{"log-test-log", "an Error here\n", "an  = ERROR = or here\n"},
		{"log-test-log", "err err\n", "err  = ERROR = \n"},
		{"log-test-log", "debug\n", ""},
		{"log-error-log", "disk err 5\n", "disk , 5\n"},
		{"log-error-log", "INFO\n", ""},
		{"log-nothing3-log", "anything\n", "anything\n"},
	} {
		set := rulesFilters(t, c, test.rule)
		var s filters.Scratch
		v := set.For(&record.Writer{}, &record.File{Path: "x"}, "host").Apply([]byte(test.in), 0, &s)
		got := ""
		if v.Keep {
			if got = test.in; v.Text != nil {
				got = string(v.Text)
			}
		}
		if got != test.want {
			t.Errorf("%s: %q becomes %q, want %q", test.rule, test.in, got, test.want)
		}
	}
}

func rulesFilters(t *testing.T, c *config.Sender, name string) *filters.Set {
	t.Helper()
	for _, r := range c.Rules {
		if r.Name != name {
			continue
		}
		o := filters.Options{Otherwise: r.Otherwise, Targets: r.Targets}
		for _, f := range r.Filters {
			o.Filters = append(o.Filters, filters.Filter{Action: f.Action, Contains: f.Contains, Match: f.Match, Rewrite: f.Rewrite})
		}
		set, err := filters.New(o)
		if err != nil {
			t.Fatalf("rule %s: %v", name, err)
		}
		return set
	}
	t.Fatalf("no rule %s", name)
	return nil
}
