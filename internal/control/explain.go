package control

import (
	"maps"
	"slices"
	"strings"
)

// Explanation is the answer to PathExplain: what happens to one file, and why. Durations are as time.Duration prints them.
type Explanation struct {
	Role       string      `json:"role"`           // sender or receiver
	Host       string      `json:"host,omitempty"` // of a receiver: the sending machine
	Mount      string      `json:"mount,omitempty"`
	Path       string      `json:"path,omitempty"`        // relative to the mount
	PathBase64 []byte      `json:"path_base64,omitempty"` // in its place, where it is not UTF-8
	Rule       string      `json:"rule"`                  // default where none matches
	Why        string      `json:"why"`
	Candidates []Candidate `json:"candidates"`
	Live       bool        `json:"live"` // answered by a running sender or receiver

	Send      bool              `json:"send"`                // false: stored below the mount, and nothing of what follows holds
	Filters   []string          `json:"filters,omitempty"`   // in their order, numbered, with what each looks at
	Otherwise string            `json:"otherwise,omitempty"` // what no filter decides: allow or deny
	Sample    int               `json:"sample,omitempty"`    // one of so many records passes
	Targets   []string          `json:"targets,omitempty"`   // that the rule names
	To        []ExplainedTarget `json:"to,omitempty"`        // these, and those that its filters name
	Limits    []ExplainedLimit  `json:"limits,omitempty"`

	*ExplainedCapture // of a sender; its keys stand among these
}

// Of says of which file it is, by the path below its mount, whatever bytes that has.
func (e *Explanation) Of(path string) { e.Path, e.PathBase64 = text(path) }

// File returns the path of its file, whichever way it came.
func (e *Explanation) File() string {
	if e.PathBase64 != nil {
		return string(e.PathBase64)
	}
	return e.Path
}

// Candidate is one rule that matches the file.
type Candidate struct {
	Rule    string `json:"rule"`
	Pattern string `json:"pattern"`
	Why     string `json:"why"`
}

// ExplainedCapture is how a sender takes what is written, and how long it keeps it.
type ExplainedCapture struct {
	Capture      string `json:"capture"`               // as the rule wants it
	CaptureWhy   string `json:"capture_why,omitempty"` // what an O_WRONLY|O_APPEND open gets here, and why
	Unit         string `json:"unit"`
	LineEnd      string `json:"line_end,omitempty"`
	JoinStart    string `json:"join_start,omitempty"`
	JoinContinue string `json:"join_continue,omitempty"`
	JoinWait     string `json:"join_wait,omitempty"`
	JoinLines    int    `json:"join_lines,omitempty"`
	MaxRecord    int    `json:"max_record"`
	TooLong      string `json:"too_long"`
	MaxAge       string `json:"max_age"`
	BatchBytes   int64  `json:"batch_bytes,omitempty"`
	BatchRecords int    `json:"batch_records,omitempty"`
	BatchWait    string `json:"batch_wait,omitempty"` // "": nothing waits for company
	Readback     int64  `json:"readback"`
	Expire       string `json:"expire"`
	WhenFull     string `json:"when_full"`
	Block        string `json:"block"`
}

// ExplainedLimit is one element of a rule's limits.
type ExplainedLimit struct {
	Per     string `json:"per"`
	Bytes   int64  `json:"bytes,omitempty"`   // a second
	Records int    `json:"records,omitempty"` // a second
	Burst   string `json:"burst"`
	Quota   int64  `json:"quota,omitempty"` // bytes in each Every
	Every   string `json:"every"`
}

// ExplainedTarget is a target or output that records of the file can go to.
type ExplainedTarget struct {
	Name   string `json:"name"`
	Type   string `json:"type"`             // target, file, journal or plugin
	Where  string `json:"where"`            // its address, the template of its files' paths, or its command
	Format string `json:"format,omitempty"` // of outputs
	ByRule bool   `json:"by_rule"`          // false: only filters send records there
	// Backlog is how many bytes may wait for it, the oldest are dropped then; 0: it has no bound of its own.
	Backlog int64    `json:"backlog,omitempty"`
	Notes   []string `json:"notes,omitempty"` // what else is set, for people
}

// Below splits an absolute path at the mount that holds it. mounts maps names to directories.
func Below(mounts map[string]string, path string) (mount, rest string, ok bool) {
	for name, dir := range mounts {
		if rest, found := strings.CutPrefix(path, strings.TrimSuffix(dir, "/")+"/"); found {
			return name, rest, true
		}
	}
	return "", "", false
}

// NotBelow says why Below finds no mount for path, and what to ask for instead.
func NotBelow(mounts map[string]string, path string) *Error {
	e := &Error{Status: 404, Text: path + " is below no mount"}
	if len(mounts) == 0 {
		e.Hint = "the configuration has no mounts"
		return e
	}
	dirs := slices.Sorted(maps.Values(mounts))
	e.Hint = "the mounts are " + strings.Join(dirs, ", ")
	if slices.Contains(dirs, strings.TrimSuffix(path, "/")) {
		e.Text = path + " is a mount itself, want a file below it"
		e.Hint = "ask for a name in it, as in " + strings.TrimSuffix(path, "/") + "/app.log; the file need not exist"
	}
	return e
}
