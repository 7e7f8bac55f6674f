package mount

import (
	"sort"
	"strings"
	"sync"

	"ftfuse/internal/record"

	"golang.org/x/sys/unix"
)

// The reasons for the capture that an open gets; Stats counts by them.
const (
	whyAppend   = "append-only open"
	whyReader   = "opened for reading"
	whyStored   = "rule: not sent"
	whyRule     = "rule: capture write"
	whyUnit     = "rule: unit write"
	whyFlags    = "not O_WRONLY|O_APPEND"
	whyDirect   = "O_DIRECT"
	whyReopened = "descriptor opened again" // /proc/self/fd, a bind-mounted file: the inode has its backing file
	whyKernel   = "no passthrough: "
	whySpool    = "no spool: "
)

// Choose says which capture an open with these open(2) flags gets under d, and why.
func (m *Mount) Choose(d record.Decision, flags uint32) (record.Mode, string) {
	switch {
	case !d.Send:
		return record.Stored, whyStored
	case flags&unix.O_ACCMODE == unix.O_RDONLY:
		return record.WriteMode, whyReader
	case d.Capture == record.WriteMode:
		return record.WriteMode, whyRule
	case d.Unit == record.Write:
		return record.WriteMode, whyUnit
	case flags&unix.O_ACCMODE != unix.O_WRONLY || flags&unix.O_APPEND == 0:
		return record.WriteMode, whyFlags
	case flags&unix.O_DIRECT != 0:
		return record.WriteMode, whyDirect // the kernel would hand the flag, and its alignment, on to the spool
	}
	if why := m.pass.off(); why != nil {
		return record.WriteMode, whyKernel + why.Error()
	}
	return record.OpenMode, whyAppend
}

// OpenCount is how many opens got a capture for a reason.
type OpenCount struct {
	Mode   string // "open", "write", "stored" or "read"
	Reason string
	Count  uint64
}

// opens counts opens by mode and reason. The reasons are few: errors are cut to the part that names their kind.
type opens struct {
	mu sync.Mutex
	n  map[[2]string]uint64
}

const maxReasons = 64

func (o *opens) add(mode record.Mode, reason string) {
	name := mode.String()
	if reason == whyReader {
		name = "read"
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	k := [2]string{name, reason}
	if _, ok := o.n[k]; !ok && len(o.n) >= maxReasons {
		k[1] = strings.SplitAfter(reason, ": ")[0]
	}
	o.n[k]++
}

func (o *opens) list() []OpenCount {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := make([]OpenCount, 0, len(o.n))
	for k, n := range o.n {
		l = append(l, OpenCount{k[0], k[1], n})
	}
	sort.Slice(l, func(i, j int) bool {
		return l[i].Mode < l[j].Mode || l[i].Mode == l[j].Mode && l[i].Reason < l[j].Reason
	})
	return l
}
