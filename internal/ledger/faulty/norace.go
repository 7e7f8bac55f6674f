//go:build !race

package faulty

import "testing"

// NotUnderRace skips t in builds with the race detector; this is not one.
func NotUnderRace(testing.TB) {}
