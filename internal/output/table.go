package output

import (
	"container/list"
	"time"

	"golang.org/x/sys/unix"
)

// table holds the open files, the one used last in front. When it is full it closes the one used longest ago; a host that has
// its share of them makes room by its own, so that it cannot keep others' files from staying open. One of the append under way
// is never closed, as what there is to choose from is at least maxRuns.
type table struct {
	most  int
	share int
	order *list.List // of *file
	hosts map[string]*list.List
	byKey map[string]*file
}

func newTable(most int) *table {
	return &table{most: most, share: max(most/4, maxRuns), order: list.New(), hosts: map[string]*list.List{}, byKey: map[string]*file{}}
}

func (t *table) get(name string) *file {
	f, ok := t.byKey[name]
	if !ok {
		return nil
	}
	t.order.MoveToFront(f.ofAll)
	t.hosts[f.host].MoveToFront(f.ofHost)
	return f
}

func (t *table) put(f *file) {
	if t.order.Len() >= t.most {
		t.drop(t.oldest(f.host))
	}
	own := t.hosts[f.host] // not before: what was dropped may have been the host's last
	if own == nil {
		own = list.New()
		t.hosts[f.host] = own
	}
	t.byKey[f.name], f.ofAll, f.ofHost = f, t.order.PushFront(f), own.PushFront(f)
}

// oldest is the file that makes room for one of a host.
func (t *table) oldest(host string) *file {
	if own := t.hosts[host]; own != nil && own.Len() >= t.share {
		return own.Back().Value.(*file)
	}
	return t.order.Back().Value.(*file)
}

// drop closes f, which gives its lock back.
func (t *table) drop(f *file) {
	if t.byKey[f.name] != f {
		return
	}
	delete(t.byKey, f.name)
	t.order.Remove(f.ofAll)
	own := t.hosts[f.host]
	if own.Remove(f.ofHost); own.Len() == 0 {
		delete(t.hosts, f.host)
	}
	unix.Close(f.fd)
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
