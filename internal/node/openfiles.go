package node

import (
	"log/slog"

	"golang.org/x/sys/unix"
)

const (
	spareFiles = 512      // descriptors for the ledger, the queue of plug-ins, listeners, and what runs beside
	leastFiles = 256      // what an output needs for one append
	mostFiles  = 16 << 10 // a file that is kept open costs the kernel about a KiB, and saves opening it again
)

// openFiles is how many files each output may keep open: a share of the descriptors that the connections leave.
func openFiles(log *slog.Logger, connections, outputs int) int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return leastFiles
	}
	n, enough := shareFiles(l.Cur, connections, outputs)
	if !enough {
		log.Warn("there may be fewer descriptors than connections and files: lower limits.connections, or raise LimitNOFILE= (ulimit -n)",
			"descriptors", l.Cur, "connections", connections, "outputs", outputs)
	}
	return n
}

// shareFiles divides limit descriptors, and says whether they are enough when all connections are there.
func shareFiles(limit uint64, connections, outputs int) (each int, enough bool) {
	room := (int(min(limit, 1<<30)) - connections - spareFiles) / max(outputs, 1)
	return min(max(room*3/4, leastFiles), mostFiles), room >= leastFiles
}
