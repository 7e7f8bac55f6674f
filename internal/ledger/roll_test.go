package ledger

import (
	"slices"
	"testing"
	"time"

	"ftfuse/internal/record"
)

func TestRoll(t *testing.T) {
	before := time.Now()
	dir := t.TempDir()
	l, _ := mustOpen(t, Options{Dir: dir})
	part := func(name string, want Part) {
		t.Helper()
		if got, err := l.Book(name).Part(); err != nil || got != want {
			t.Fatalf("%q: got part %d, %v, want %d", name, got, err, want)
		}
	}
	must(t, l.Book("old").Commit(nil, []record.Durable{durable(1, 5)}, false)) // by a version without roll
	part("old", In)
	part("ol", New) // its name begins another's
	must(t, l.Book("").Enrol(nil))
	must(t, l.Book("ol").Enrol([]record.Durable{durable(1, 7), durable(2, 9)}))
	must(t, l.Book("gone").Enrol(nil))
	must(t, l.Book("gone").Retire())
	must(t, l.Close())

	l, _ = mustOpen(t, Options{Dir: dir})
	defer l.Close()
	part("", In)
	part("ol", In)
	part("gone", Left)
	names, err := l.Enrolled()
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{"", "ol"}) {
		t.Fatalf("got %q, %v on the roll, want the unnamed one and ol", names, err)
	}
	var marks []record.Durable
	must(t, l.Book("ol").Marks(func(d record.Durable, touched time.Time) bool {
		if touched.Before(before) || touched.After(time.Now()) {
			t.Errorf("mark of %v: got touched at %v, want since the test began", d.Sender, touched)
		}
		marks = append(marks, d)
		return true
	}))
	if !slices.Equal(marks, []record.Durable{durable(1, 7), durable(2, 9)}) {
		t.Fatalf("got marks %+v, want those it began with", marks)
	}
}
