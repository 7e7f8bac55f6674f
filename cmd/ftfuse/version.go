package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// Set by the linker: -ldflags "-X main.version=... -X main.commit=...". It only sets what has no initial value.
var version, commit string

// built returns version and commit, from what the toolchain recorded where the linker was not told.
func built() (v, c string) {
	v, c = version, commit
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(v, "unknown"), cmp.Or(c, "unknown")
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			c = cmp.Or(c, s.Value[:min(12, len(s.Value))])
		}
	}
	return cmp.Or(v, info.Main.Version, "(devel)"), cmp.Or(c, "unknown")
}

func newVersion(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print the version, and what this kernel makes possible",
		Example: "  ftfuse version",
		Args:    arguments(0, 0, ""),
		RunE:    func(*cobra.Command, []string) error { return printVersion(t.out) },
	}
}

func printVersion(w io.Writer) error {
	v, c := built()
	release := kernelRelease()
	open := "not possible: needs Linux 6.9, every write goes through the sender"
	if hasPassthrough(release) {
		open = "possible (FUSE passthrough, Linux 6.9)"
	}
	_, err := fmt.Fprintf(w, "ftfuse %s\ncommit       %s\nbuilt with   %s for %s/%s\nkernel       %s\nopen capture %s\n",
		v, c, runtime.Version(), runtime.GOOS, runtime.GOARCH, release, open)
	return err
}

// kernelRelease is what uname -r prints.
func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// hasPassthrough reports whether a kernel release has FUSE passthrough, which came with 6.9.
func hasPassthrough(release string) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n < 2 {
		return false
	}
	return major > 6 || major == 6 && minor >= 9
}
