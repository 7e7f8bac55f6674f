package memo

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// again opens the memory anew, as another process would.
func again(t *testing.T, m *Memo) (*Memo, []string) {
	t.Helper()
	fd, err := unix.Dup(int(m.f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	o, err := Open(os.NewFile(uintptr(fd), "memo"), func(kind byte, body []byte) error {
		rows = append(rows, fmt.Sprintf("%d:%s", kind, body))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o, rows
}

func made(t *testing.T) *Memo {
	t.Helper()
	m, err := New("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func want(t *testing.T, rows []string, all ...string) {
	t.Helper()
	if got, want := strings.Join(rows, " "), strings.Join(all, " "); got != want {
		t.Errorf("got rows %s, want %s", got, want)
	}
}

func TestRowsOutlive(t *testing.T) {
	m := made(t)
	for i, s := range []string{"", "a", "12345678", "123456789"} {
		if err := m.Append(byte(i+1), []byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	o, rows := again(t, m)
	want(t, rows, "1:", "2:a", "3:12345678", "4:123456789")
	if err := o.Append(9, []byte("next")); err != nil {
		t.Fatal(err)
	}
	_, rows = again(t, o)
	want(t, rows, "1:", "2:a", "3:12345678", "4:123456789", "9:next")
}

// A row whose writer was killed before it stored the check does not exist.
func TestTornRow(t *testing.T) {
	m := made(t)
	for _, s := range []string{"one", "two"} {
		if err := m.Append(1, []byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	second := m.start(0) + size(3)
	m.mem[second+rowHead]++
	_, rows := again(t, m)
	want(t, rows, "1:one")
	clear(m.mem[second : second+4])
	o, rows := again(t, m)
	want(t, rows, "1:one")
	if err := o.Append(2, []byte("three")); err != nil {
		t.Fatal(err)
	}
	_, rows = again(t, o)
	want(t, rows, "1:one", "2:three")
}

func TestReplace(t *testing.T) {
	m := made(t)
	for range 3 {
		if err := m.Append(1, []byte("old")); err != nil {
			t.Fatal(err)
		}
		failed := fmt.Errorf("no")
		if err := m.Replace(func(add func(byte, []byte) error) error {
			if err := add(2, []byte("half")); err != nil {
				return err
			}
			return failed
		}); err != failed {
			t.Fatalf("got %v, want the error of who writes", err)
		}
		_, rows := again(t, m)
		if last := rows[len(rows)-1]; last != "1:old" {
			t.Fatalf("after a replacement that failed the last row is %s", last)
		}
		if err := m.Replace(func(add func(byte, []byte) error) error { return add(2, []byte("new")) }); err != nil {
			t.Fatal(err)
		}
		o, rows := again(t, m)
		want(t, rows, "2:new")
		m = o
	}
}

func TestLong(t *testing.T) {
	m := made(t)
	if m.Long() {
		t.Error("an empty memo is long")
	}
	for body := make([]byte, 1<<19); !m.Long(); {
		if err := m.Append(1, body); err != nil {
			t.Fatal(err)
		}
	}
	if m.used > 2<<20 {
		t.Errorf("long only after %d bytes", m.used)
	}
}

func TestFull(t *testing.T) {
	m := made(t)
	m.used = areaSize - size(8)
	if err := m.Append(1, []byte("12345678")); err != nil {
		t.Error(err)
	}
	if err := m.Append(1, nil); err != ErrFull {
		t.Errorf("got %v, want ErrFull", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Memo){
		"got 100 bytes": func(m *Memo) {
			if err := m.f.Truncate(100); err != nil {
				t.Fatal(err)
			}
		},
		`got magic "xtmemo\x01\n"`: func(m *Memo) { m.mem[0] = 'x' },
	} {
		m := made(t)
		spoil(m)
		fd, err := unix.Dup(int(m.f.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "memo")
		_, err = Open(f, func(byte, []byte) error { return nil })
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %s", err, name)
		}
		f.Close()
	}
}
