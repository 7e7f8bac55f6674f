package capture

import (
	"fmt"
	"regexp"
	"time"

	"ftfuse/internal/record"
)

// maxLook is how much of a line a pattern sees, in bytes: a begun line is kept in memory for it.
const maxLook = 4096

// joiner says which lines make one record together.
type joiner struct {
	re     *regexp.Regexp
	begins bool // a line that matches begins a record; else it belongs to the one before
	wait   time.Duration
	lines  int // of one record; 0: any number
}

// starts reports whether a line begins a record.
func (j *joiner) starts(line []byte) bool { return j.re.Match(line) == j.begins }

// patterns keeps what has been compiled, nil for what cannot be. Only the follower uses it.
type patterns map[string]*regexp.Regexp

// joiner returns what j asks for, nil for single lines. The error comes once for each pattern.
func (p patterns) joiner(j record.Join) (*joiner, error) {
	text := j.Start
	if text == "" {
		text = j.Continue
	}
	if text == "" {
		return nil, nil
	}
	re, known := p[text]
	var err error
	if !known {
		if re, err = regexp.Compile(text); err != nil {
			err = fmt.Errorf("join lines by a pattern: %w", err)
		}
		p[text] = re
	}
	if re == nil {
		return nil, err
	}
	return &joiner{re: re, begins: j.Start != "", wait: j.Wait, lines: j.Lines}, nil
}

// look keeps of the line that has begun what the pattern will see.
func (s *stream) look(p []byte) {
	if s.join != nil {
		s.line = append(s.line, p[:min(len(p), maxLook-len(s.line))]...)
	}
}

// starts reports whether the line that has been looked at begins a record, and forgets it.
func (s *stream) starts() bool {
	yes := s.join.starts(s.line)
	s.line = s.line[:0]
	return yes
}

// sameWriter compares what is written as well: segments of the log have pointers of their own.
func sameWriter(a, b *record.Writer) bool { return a == b || a != nil && b != nil && *a == *b }
