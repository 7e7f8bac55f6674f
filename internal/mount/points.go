//go:build !killpoints

package mount

// at marks a point in a request's life at which tests have the process killed. Without the build tag it is nothing.
func at(string, uint32) {}

// oldKernel has tests behave as on a kernel that cannot send a request again.
const oldKernel = false
