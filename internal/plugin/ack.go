package plugin

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
)

// maxAck is more than a line of an acknowledgement can have: 19 digits, CR and LF.
const maxAck = 32

// parseAck reads one line of descriptor 3: how many lines are done, decimal.
func parseAck(line []byte) (int64, error) {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	n, err := strconv.ParseUint(string(line), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("its acknowledgement was %.40q, want a number of lines", line)
	}
	return int64(n), nil
}

// hearAcks reads descriptor 3 to its end. What breaks the rules goes to fault, and the rest is thrown away.
func (l *life) hearAcks() {
	r := bufio.NewReaderSize(l.child.acks, 4<<10)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && len(line) == 0 {
			return // its end
		}
		if err != nil && err != bufio.ErrBufferFull {
			return // half a line, by one who died while it wrote: not an answer
		}
		n, err := parseAck(line[:min(len(line), maxAck)])
		if err == nil {
			err = l.track.finished(n)
		}
		if err != nil {
			l.fault <- err
			_, _ = io.Copy(io.Discard, l.child.acks)
			return
		}
		l.p.stats.acks.Add(1)
	}
}
