// Command actor is the programs beside ftfuse in the tests of the real programs: those that write into a mount, and a
// plug-in. They are no part of the test program because that starts slowly, with its race detector, and hundreds of them
// are started.
//
//	actor write -path FILE [-id ID] ...
//	actor plug DIR
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "write":
			os.Exit(write(os.Args[2:]))
		case "plug":
			os.Exit(plug(os.Args[2]))
		}
	}
	fmt.Fprintf(os.Stderr, "actor: got arguments %q, want write OPTIONS or plug DIR\n", os.Args[1:])
	os.Exit(2)
}
