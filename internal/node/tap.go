package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"ftfuse/internal/control"
	"ftfuse/internal/record"
	"ftfuse/internal/rules"
	"ftfuse/internal/tap"
)

// tapped shows chunks to whoever listens, once the sink behind it has taken them.
type tapped struct {
	record.Sink
	hub *tap.Hub
}

func (t tapped) Put(ctx context.Context, chunks []record.Chunk) error {
	if err := t.Sink.Put(ctx, chunks); err != nil {
		return err
	}
	t.hub.Offer(chunks)
	return nil
}

// tappedOutputs are a receiver's outputs with onlookers.
type tappedOutputs struct {
	*sinks
	hub *tap.Hub
}

func (t tappedOutputs) Put(ctx context.Context, chunks []record.Chunk) error {
	return tapped{t.sinks, t.hub}.Put(ctx, chunks)
}

// listen answers PathTap. dirs are the mounts, on a sender; nil on a receiver. The socket's group may see figures and
// paths; what programs write is for root, and for the user that the process runs as.
func listen(ctx context.Context, h *tap.Hub, v url.Values, dirs map[string]string) (control.Stream, error) {
	if uid, ok := control.Peer(ctx); !ok || uid != 0 && int(uid) != os.Geteuid() {
		return nil, &control.Error{Status: http.StatusForbidden, Text: "only root may see what programs write", Hint: "run it as root, as in `sudo ftfuse tap`"}
	}
	q, err := control.ParseTapQuery(v)
	if err != nil {
		return nil, err
	}
	f, err := tapFilter(q, dirs)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, lines *control.Lines) error {
		l, err := h.Listen(f)
		if errors.Is(err, tap.ErrBusy) {
			return &control.Error{Text: fmt.Sprintf("%d taps run already", tap.MaxListeners), Hint: "end one of them: `pgrep -af 'ftfuse tap'` lists them"}
		}
		if err != nil {
			return err
		}
		defer l.Close()
		if err := lines.Send(control.TapLine{Begun: true}); err != nil {
			return err
		}
		if err := lines.Flush(); err != nil {
			return err
		}
		return l.Run(ctx, tapOut{lines})
	}, nil
}

func tapFilter(q control.TapQuery, dirs map[string]string) (tap.Filter, error) {
	f := tap.Filter{Rule: q.Rule, PID: q.PID, UID: q.UID, Rate: q.Rate}
	var err error
	if q.Path != "" {
		if f.Path, err = tapPath(q.Path, dirs); err != nil {
			return f, err
		}
	}
	if q.Host != "" {
		if _, err := path.Match(q.Host, ""); err != nil {
			return f, &control.Error{Status: http.StatusBadRequest, Text: fmt.Sprintf("host %q: want every [ closed, and \\ before another character", q.Host)}
		}
		f.Host = func(name string) bool { ok, _ := path.Match(q.Host, name); return ok } // it has been checked
	}
	return f, nil
}

// tapPath returns what matches a glob below a mount. On a sender it may begin with a mount's directory.
func tapPath(glob string, dirs map[string]string) (func(mount, path string) bool, error) {
	only, rest := "", glob
	if strings.HasPrefix(glob, "/") {
		var ok bool
		if only, rest, ok = control.Below(dirs, glob); !ok {
			e := &control.Error{Status: http.StatusBadRequest, Text: fmt.Sprintf("path %q is below no mount", glob),
				Hint: "give it as a rule's match does, relative to the mount"}
			if len(dirs) > 0 {
				e.Hint += ", or below " + strings.Join(slices.Sorted(maps.Values(dirs)), " or ")
			}
			return nil, e
		}
	}
	match, err := rules.Pattern(rest)
	if err != nil {
		return nil, &control.Error{Status: http.StatusBadRequest, Text: err.Error(), Hint: "as in a rule's match: `*.log`, `nginx/*`, `**/*.log`"}
	}
	return func(mount, path string) bool { return (only == "" || mount == only) && match(path) }, nil
}

// tapOut sends what a listener hears.
type tapOut struct{ lines *control.Lines }

func (o tapOut) Record(r tap.Record) error {
	t := control.NewTapRecord(r.Chunk, r.Data, r.Offset-r.Chunk.Offset, r.Time)
	t.Continues, t.Continued = r.Continues, r.Continued
	return o.lines.Send(control.TapLine{Record: t})
}

func (o tapOut) Skipped(s tap.Skipped) error {
	return o.lines.Send(control.TapLine{Skipped: &control.TapSkipped{Rate: s.Rate, Slow: s.Slow, Gone: s.Gone}})
}

func (o tapOut) Flush() error { return o.lines.Flush() }
