package appliance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestCrash ends all processes of a machine at once, first the receiver's, then the sender's, under load. After the
// boot the mount is there by itself, and all that write(2) had returned for arrives, once.
func TestCrash(t *testing.T) {
	each(t, func(t *testing.T, release string) {
		s := newSite(t, release)
		ran := slices.DeleteFunc(slices.Clone(writers), func(w writer) bool { return w.id == "nginx" || w.id == "python" })
		s.write(ran)
		s.flowing(ran)
		s.receiver.crash()
		s.growing(ran)
		s.sender.crash()
		s.sender.run("findmnt -t fuse.ftfuse " + mounted)
		for _, w := range ran {
			s.whole(w)
		}
		s.sender.run("echo after >>" + mounted + "/after.log")
		s.expect("after.log", "after\n")
	})
}

// growing waits until each writer's file has grown.
func (s *site) growing(list []writer) {
	s.t.Helper()
	for _, w := range list {
		before := strings.Count(s.arrived(w.file), "\n")
		eventually(s.t, "more of "+w.id, func() error {
			if now := strings.Count(s.arrived(w.file), "\n"); now < before+10 {
				return fmt.Errorf("got %d lines, and %d before", now, before)
			}
			return nil
		})
	}
}
