package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Files of the sender's own machine, in a directory of their own and below the mount, get each line once, over kills and
// orderly ends of the sender, while somebody rotates them.
func TestLocalOutputs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rnd := random(t)
	s.senderX = "outputs:\n" + s.copies("copy") + `  - {name: under, below: log, base: copies, path: "{path}"}`
	s.rulesX = `
  - {name: copies, match: ["copies/**", "copies/**/*.wc", "copies/**/*.wc.*"], send: false}
  - {name: cutwrites, match: ["**/*.wc"], capture: write, targets: [main, copy, under]}
  - {name: cut, match: ["**"], targets: [main, copy, under]}`
	m := s.manage()
	s.startReceiver()
	m.start()
	m.mount()
	l := s.loads(300*time.Microsecond, false)
	for _, dir := range []string{s.dir + "/copy", s.mnt + "/copies"} {
		s.until("something is in "+dir, 20*time.Second, func() bool { return inOrder(t, dir, l[0].file) != "" })
	}
	next := map[string]int{}
	for i := range soak(12) {
		time.Sleep(time.Duration(rnd.Intn(150)) * time.Millisecond)
		if i%5 == 0 {
			s.sender.stop(t)
		} else {
			s.sender.kill()
		}
		for _, dir := range []string{s.dir + "/copy", s.mnt + "/copies"} {
			w := l[rnd.Intn(len(l))]
			if dir != s.dir+"/copy" {
				m.start() // it serves the directory
			}
			rotateOnce(t, filepath.Join(dir, w.file), next)
		}
	}
	s.ended(l)
	s.settled(l)
	for _, w := range l {
		w.check(t, inOrder(t, s.dir+"/copy", w.file))
		w.check(t, inOrder(t, s.mnt+"/copies", w.file))
	}
	for _, rule := range []string{"cut", "cutwrites"} {
		for _, target := range []string{"main", "copy", "under"} {
			s.counted(rule, target, count(l, toRule(rule), unchanged))
		}
	}
	if len(next) == 0 {
		t.Error("nothing was rotated")
	}
}

// rotateOnce renames a file to the next of NAME.1, NAME.2 and so on, if it is there.
func rotateOnce(t *testing.T, path string, next map[string]int) {
	t.Helper()
	err := os.Rename(path, fmt.Sprintf("%s.%d", path, next[path]+1))
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	next[path]++
}
