package node

import (
	"fmt"
	"log/slog"
	"testing"

	"ftfuse/internal/config"
	"ftfuse/internal/pace"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
)

// Who takes whose place in the queue when a target gets a position for each member, or one for all.
func TestSuccessions(t *testing.T) {
	const all = `policy: broadcast, members: [{name: a, address: "127.0.0.1:1"}, {name: b, address: "127.0.0.1:2"}]`
	const both = `members: [{name: a, address: "127.0.0.1:1"}, {name: b, address: "127.0.0.1:2"}]`
	for name, c := range map[string]struct {
		have     []string // each has acknowledged one position less than the one before
		was, now string
		want     string
	}{
		"one becomes broadcast":    {[]string{"t"}, `address: "127.0.0.1:1"`, all, "[what waits for t goes to t/a and t/b]"},
		"some become broadcast":    {[]string{"t", "t:high"}, both, all, "[what waits for t goes to t/a and t/b what waits for t:high goes to t/a:high and t/b:high]"},
		"as before":                {[]string{"t", "x"}, both, both, "[]"},
		"a member is new":          {[]string{"t/a"}, all, all, "[]"},
		"one was there before":     {[]string{"t", "t/a"}, both, all, "[what waits for t goes to t/b]"},
		"all were there before":    {[]string{"t", "t/b", "t/a"}, both, all, "[]"},
		"of a name that begins so": {[]string{"t2", "x"}, both, all, "[]"},
		"new":                      {[]string{"x"}, "", all, "[]"},
		"none is broadcast":        {[]string{"t/b", "t/a"}, all, both, "[what waits for t/b goes to t]"},
		"and one goes":             {[]string{"t/c", "t/b", "t/a"}, all, both, "[what waits for t/b goes to t]"},
		"one stays, by its name":   {[]string{"t/b", "t/a"}, "", `members: [{name: a, address: "127.0.0.1:9"}]`, "[what waits for t/a goes to t]"},
		"by its address":           {[]string{"t/b", "t/a"}, all, `address: "127.0.0.1:1"`, "[what waits for t/a goes to t]"},
		"of a class":               {[]string{"t/b:high", "t/a:high", "t/a", "t/b"}, all, both, "[what waits for t/a goes to t what waits for t/b:high goes to t:high]"},
		"none stays":               {[]string{"t/b", "t/a"}, all, `address: "127.0.0.1:9"`, "[what waits for t/a goes to t]"},
	} {
		t.Run(name, func(t *testing.T) {
			q := queueWith(t, c.have)
			target := func(text string) []config.Target {
				if text == "" {
					return nil
				}
				list := loadedSender(t, `rules: [{name: r, match: ["**"], targets: [t]}]`, `targets: [{name: t, `+text+`}]`).Targets
				return list[len(list)-1:]
			}
			var further []pace.Class
			if classesOf(c.have) != nil {
				further = classesOf(c.have)
			}
			got, err := successions(target(c.now), target(c.was), further, q)
			if err != nil || fmt.Sprint(got) != c.want {
				t.Fatalf("got %v, error %v, want %s", got, err, c.want)
			}
			if err := settleSuccessions(target(c.now), further, q, slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
			if again, err := successions(target(c.now), nil, further, q); err != nil || len(again) > 0 {
				t.Errorf("afterwards: got %v, error %v, want none", again, err)
			}
		})
	}
}

// queueWith is a queue of cursors, each of which has acknowledged one position less than the one before.
func queueWith(t *testing.T, cursors []string) *queue.Queue {
	t.Helper()
	src := &record.Source{Stream: record.Stream{Sender: record.SenderID{1}}, Host: "h"}
	q, _, err := queue.Open(queue.Options{Dir: t.TempDir(), Source: src})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	var all []*queue.Cursor
	for _, name := range cursors {
		c, err := q.Cursor(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for range cursors {
		text := []byte("line\n")
		err := q.Append([]record.Chunk{{Source: src, File: &record.File{Mount: "m", Path: "p", Rule: "r"}, Writer: &record.Writer{Kind: record.Opener},
			Records: 1, CRC: record.CRC(text), Len: uint32(len(text)), Data: text}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range all {
		for range len(all) - 1 - i {
			b, err := c.Next(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Ack(b.Last, record.Durable{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return q
}
