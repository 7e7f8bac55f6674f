//go:build killpoints

package mount

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// oldKernel has us behave as on a kernel that cannot send a request again.
var oldKernel = os.Getenv("FTFUSE_OLD_KERNEL") != ""

// at kills this process when the file that FTFUSE_KILLPOINT names holds this stage and opcode. The file goes with it.
func at(stage string, opcode uint32) {
	path := os.Getenv("FTFUSE_KILLPOINT")
	b, err := os.ReadFile(path)
	if err != nil || string(b) != fmt.Sprintf("%s %d", stage, opcode) {
		return
	}
	_ = os.Remove(path)
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {}
}
