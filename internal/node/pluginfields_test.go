package node

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"ftfuse/internal/config"
)

func TestFieldsOfPlugins(t *testing.T) {
	s := &config.Sender{
		Mounts: []config.Mount{{Name: "web"}, {Name: "app"}},
		Rules: []config.Rule{
			{Name: "one", Send: true, Targets: []string{"main", "alarm"}, Mounts: []string{"app"}},
			{Name: "two", Send: true, Targets: []string{"main"}, Filters: []config.Filter{{Action: "route", Targets: []string{"alarm", "count"}}}},
			{Name: "three", Targets: []string{"alarm"}}, // stores
		},
		Outputs: []config.Output{{Name: "count", Plugin: config.Plugin{StdoutTargets: []string{"last"}}}},
	}
	r := &config.Receiver{Rules: []config.ReceiverRule{{Name: "all"}, {Name: "some", Outputs: []string{"alarm"}}}}
	for range maxFields + 1 {
		s.Rules = append(s.Rules, config.Rule{Name: fmt.Sprint("many", len(s.Rules)), Send: true, Targets: []string{"busy"}, Mounts: []string{"web"}})
	}
	for _, c := range []struct {
		got           map[string][]string
		rules, mounts []string
	}{
		{senderFields(s, "alarm"), []string{"one", "two"}, []string{"app", "web"}},
		{senderFields(s, "count"), []string{"two"}, []string{"app", "web"}},
		{senderFields(s, "last"), []string{"count"}, []string{"plugin"}},
		{senderFields(s, "busy"), nil, []string{"web"}},
		{senderFields(s, "unnamed"), nil, nil},
		{receiverFields(r, "alarm"), []string{"all", "some"}, nil},
		{receiverFields(r, "other"), []string{"all"}, nil},
	} {
		want := map[string][]string{}
		if c.rules != nil {
			want["FTFUSE_RULE"] = c.rules
		}
		if c.mounts != nil {
			want["FTFUSE_MOUNT"] = c.mounts
		}
		if !maps.EqualFunc(c.got, want, slices.Equal) {
			t.Errorf("got %v, want %v", c.got, want)
		}
	}
}
