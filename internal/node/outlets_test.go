package node

import (
	"fmt"
	"testing"

	"ftfuse/internal/pace"
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

// Rules and people name the target; the queue has its positions, and further ones for data that is to go first or last.
func TestChunksForCursors(t *testing.T) {
	const head = `targets: [{name: copies, policy: broadcast, members: [{name: a, address: "127.0.0.1:1"}, {name: b, address: "127.0.0.1:2"}]}, {name: main, address: "127.0.0.1:3"}]`
	chunk := func(rule string, targets ...string) record.Chunk {
		return record.Chunk{File: &record.File{Rule: rule}, Targets: targets}
	}
	for name, c := range map[string]struct {
		rules string
		given []record.Chunk
		want  []string
	}{
		"one class": {`rules: [{name: r, match: ["**"], targets: [main, copies]}]`,
			[]record.Chunk{chunk("r", "main", "copies"), chunk("r", "main", "copies"), chunk("r", "main"), chunk("r"), {Targets: []string{"copies"}}},
			[]string{"[main copies/a copies/b]", "[main copies/a copies/b]", "[main]", "[]", "[copies/a copies/b]"}},
		"three": {`rules: [{name: r, match: ["*.r"], targets: [main]}, {name: errors, match: ["*.e"], priority: high, targets: [main, copies]}, {name: debug, match: ["*.d"], priority: low, targets: [main]}]`,
			[]record.Chunk{chunk("errors", "main", "copies"), chunk("r", "main"), chunk("debug", "main"), chunk("debug"), {Targets: []string{"main"}}},
			[]string{"[main:high copies/a:high copies/b:high]", "[main]", "[main:low]", "[default copies/a copies/b main]", "[main]"}},
		"of a rule that sends no more": {`rules: [{name: r, match: ["*.r"], targets: [copies]}, {name: kept, match: ["*.k"], priority: high, send: false}]`,
			[]record.Chunk{chunk("kept", "copies")}, []string{"[copies/a copies/b]"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := newRuling(loadedSender(t, c.rules, head), nil)
			if err != nil {
				t.Fatal(err)
			}
			before := fmt.Sprint(c.given[0].Targets)
			got := r.way.forCursors(c.given)
			for i, want := range c.want {
				if fmt.Sprint(got[i].Targets) != want {
					t.Errorf("chunk %d: got %v, want %s", i, got[i].Targets, want)
				}
			}
			if fmt.Sprint(c.given[0].Targets) != before {
				t.Errorf("the given chunk has become %v", c.given[0].Targets)
			}
		})
	}
}

// What waits of a class that no rule has any more keeps its position, and its connection.
func TestClassesStay(t *testing.T) {
	with := loadedSender(t, `rules: [{name: errors, match: ["*.e"], priority: high, targets: [default]}]`, "{}")
	without := loadedSender(t, `rules: [{name: errors, match: ["*.e"], targets: [default]}]`, "{}")
	first, err := newRuling(with, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := newRuling(without, first)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(second.classes) != "[high]" || second.way.of(&record.Chunk{File: &record.File{Rule: "errors"}}) != pace.Normal {
		t.Errorf("got classes %v", second.classes)
	}
	third, err := newRuling(without, nil, classesOf([]string{"default", "default:low"})...)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(cursorNames(without, third.classes...)); got != "[default default:low]" {
		t.Errorf("after a restart: got %s", got)
	}
}
