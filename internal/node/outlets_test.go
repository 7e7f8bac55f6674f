package node

import (
	"fmt"
	"slices"
	"testing"

	"ftfuse/internal/record"
)

func TestOutlets(t *testing.T) {
	const two = `members: [{name: a, address: "127.0.0.1:1"}, {name: b, address: "127.0.0.1:2"}]`
	for _, c := range []struct{ target, want string }{
		{`address: "127.0.0.1:1"`, "[t: t]"},
		{`members: [{name: a, address: "127.0.0.1:1"}]`, "[t: a]"},
		{two, "[t: a or b]"},
		{`policy: balance, ` + two, "[t: a or b]"},
		{`policy: only, only: b, ` + two, "[t: b]"},
		{`policy: broadcast, ` + two, "[t/a: a t/b: b]"},
		{`address: "dns:localhost:1", insecure: true`, "[t: t or others]"},
	} {
		cfg := loadedSender(t, `rules: [{name: r, match: ["**"], targets: [t]}]`, `targets: [{name: t, `+c.target+`}]`)
		var got []string
		for _, o := range outlets(cfg.Targets[len(cfg.Targets)-1]) {
			text := o.cursor + ": " + o.members[0].Name
			switch {
			case len(o.members) > 1:
				text += " or " + o.members[1].Name
			case o.shared:
				text += " or others"
			}
			if o.shared != (len(o.members) > 1 || text == "t: t or others") {
				t.Errorf("%s: shared is %v", c.target, o.shared)
			}
			got = append(got, text)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: got %v, want %s", c.target, got, c.want)
		}
	}
}

// Rules and people name the target; the queue has its positions.
func TestChunksForCursors(t *testing.T) {
	r := &ruling{cursors: map[string][]string{"copies": {"copies/a", "copies/b"}}}
	both, one := []string{"main", "copies"}, []string{"main"}
	given := []record.Chunk{{Seq: 1, Targets: both}, {Seq: 2, Targets: both}, {Seq: 3, Targets: one}, {Seq: 4}, {Seq: 5, Targets: both}}
	got := r.forCursors(given)
	for i, want := range [][]string{{"main", "copies/a", "copies/b"}, {"main", "copies/a", "copies/b"}, {"main"}, nil, {"main", "copies/a", "copies/b"}} {
		if !slices.Equal(got[i].Targets, want) || (got[i].Targets == nil) != (want == nil) {
			t.Errorf("chunk %d: got %v, want %v", i, got[i].Targets, want)
		}
	}
	if !slices.Equal(given[0].Targets, both) {
		t.Errorf("the given chunk has become %v", given[0].Targets)
	}
}
