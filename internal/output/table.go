package output

import (
	"container/list"
	"time"

	"golang.org/x/sys/unix"
)

// table holds the open files, the one used last in front. It closes the one used longest ago when it is full: never
// one of the append under way, as it holds at least maxRuns.
type table struct {
	most  int
	order *list.List // of *file
	byKey map[string]*list.Element
}

func newTable(most int) *table {
	return &table{most: most, order: list.New(), byKey: map[string]*list.Element{}}
}

func (t *table) get(name string) *file {
	e, ok := t.byKey[name]
	if !ok {
		return nil
	}
	t.order.MoveToFront(e)
	return e.Value.(*file)
}

func (t *table) put(f *file) {
	for t.order.Len() >= t.most {
		t.drop(t.order.Back().Value.(*file))
	}
	t.byKey[f.name] = t.order.PushFront(f)
}

// drop closes f, which gives its lock back.
func (t *table) drop(f *file) {
	if e, ok := t.byKey[f.name]; ok && e.Value.(*file) == f {
		t.order.Remove(e)
		delete(t.byKey, f.name)
		unix.Close(f.fd)
	}
}

func (t *table) closeAll() {
	for t.order.Len() > 0 {
		t.drop(t.order.Back().Value.(*file))
	}
}

func (t *table) closeIdle(before time.Time) {
	for e := t.order.Back(); e != nil && e.Value.(*file).used.Before(before); e = t.order.Back() {
		t.drop(e.Value.(*file))
	}
}

func (t *table) doubtAll() {
	for e := t.order.Front(); e != nil; e = e.Next() {
		e.Value.(*file).doubt = true
	}
}

func (t *table) len() int { return t.order.Len() }
