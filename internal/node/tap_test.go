package node

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"

	"ftfuse/internal/control"
	"ftfuse/internal/record"
	"ftfuse/internal/tap"
)

func TestTapPath(t *testing.T) {
	dirs := map[string]string{"log": "/var/log/app", "data": "/srv/data"}
	for _, c := range []struct {
		glob, mount, path string
		want              bool
	}{
		{"*.log", "log", "a.log", true},
		{"*.log", "data", "a.log", true},
		{"*.log", "log", "d/a.log", false},
		{"/var/log/app/**/*.log", "log", "d/a.log", true},
		{"/var/log/app/**", "data", "a.log", false},
	} {
		match, err := tapPath(c.glob, dirs)
		if err != nil {
			t.Fatal(err)
		}
		if got := match(c.mount, c.path); got != c.want {
			t.Errorf("%s, %s in %s: got %v, want %v", c.glob, c.path, c.mount, got, c.want)
		}
	}
	for _, bad := range []string{"a[", "/srv/other/a", "/var/log/app", "../a"} {
		var e *control.Error
		if _, err := tapPath(bad, dirs); !errors.As(err, &e) || e.Status != http.StatusBadRequest || e.Hint == "" {
			t.Errorf("%s: %v, want status 400 and a hint", bad, err)
		}
	}
}

// Who is not known to be root or ourselves sees no records.
func TestTapIsNotForEverybody(t *testing.T) {
	var e *control.Error
	if _, err := listen(t.Context(), &tap.Hub{}, url.Values{}, nil); !errors.As(err, &e) || e.Status != http.StatusForbidden {
		t.Errorf("got %v, want status 403", err)
	}
}

type failing struct{ err error }

func (f failing) Put(context.Context, []record.Chunk) error { return f.err }

// What a sink has refused is offered again: it is heard once, when it is taken.
func TestTappedShowsWhatWasTaken(t *testing.T) {
	var h tap.Hub
	heard := 0
	l, err := h.Listen(tap.Filter{Path: func(string, string) bool { heard++; return false }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	chunks := []record.Chunk{{File: &record.File{}, Len: 1, Data: []byte("x")}}
	if err := (tapped{failing{record.ErrFull}, &h}).Put(t.Context(), chunks); !errors.Is(err, record.ErrFull) || heard != 0 {
		t.Errorf("got %v, heard %d, want the sink's error and nothing", err, heard)
	}
	if err := (tapped{failing{nil}, &h}).Put(t.Context(), chunks); err != nil || heard != 1 {
		t.Errorf("got %v, heard %d, want once", err, heard)
	}
}
