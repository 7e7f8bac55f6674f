//go:build race

package faulty

import "testing"

// NotUnderRace skips t: after a failed compaction goleveldb acknowledges on a channel that the waiter may be closing, and
// recovers from the panic (db_compaction.go: cAuto.ack, compTriggerWait). It means to; the race detector cannot know.
func NotUnderRace(t testing.TB) {
	t.Skip("SKIPPED: goleveldb races with itself when its storage fails")
}
