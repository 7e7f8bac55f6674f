package node

import (
	"errors"
	"slices"
	"testing"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
)

// A sender answers by the rules that a reload has put in force, and says so.
func TestExplainIsLive(t *testing.T) {
	s := &sender{}
	for _, c := range []struct {
		rules   string
		filters int
		to      []string
	}{
		{`rules: [{name: a, match: ["**"]}]`, 0, []string{"default"}},
		{`rules: [{name: a, match: ["**"], filters: [{action: deny, contains: x}, {action: route, contains: y, targets: [b]}]}]`, 2, []string{"default", "b"}},
	} {
		cfg := loadedSender(t, c.rules, `targets: [{name: default}, {name: b, address: "127.0.0.1:2"}, {name: c, address: "127.0.0.1:3"}]`)
		r, err := newRuling(cfg, s.ruling.Load())
		if err != nil {
			t.Fatal(err)
		}
		s.cfg = cfg
		s.ruling.Store(r)
		e, err := s.explain("/var/log/ftfuse/x.log")
		if err != nil || !e.Live || e.Rule != "a" || len(e.Filters) != c.filters || !slices.EqualFunc(e.To, c.to, targetIs) {
			t.Errorf("got %+v, %v", e, err)
		}
		for _, to := range e.To {
			if to.ByRule != (to.Name == "default") {
				t.Errorf("%s: got %v for being the rule's own", to.Name, to.ByRule)
			}
		}
	}
	var e *control.Error
	if _, err := s.explain("/etc/passwd"); !errors.As(err, &e) || e.Status != 404 {
		t.Errorf("below no mount: got %v", err)
	}
}

func targetIs(t control.ExplainedTarget, name string) bool { return t.Name == name }

// A file that is stored has nothing else to explain.
func TestExplainStored(t *testing.T) {
	cfg := config.DefaultSender()
	e, err := ExplainSender(&cfg, "/var/log/ftfuse/x.gz")
	if err != nil || e.Send || e.ExplainedCapture != nil || e.To != nil || e.Rule != "rotated" || e.Live {
		t.Errorf("got %+v, %v", e, err)
	}
	if e, err = ExplainSender(&cfg, "/var/log/ftfuse/x"); err != nil || !e.Send || e.Capture != "auto" || len(e.To) != 1 {
		t.Errorf("got %+v, %v", e, err)
	}
}
