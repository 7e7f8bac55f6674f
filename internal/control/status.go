// Package control is the local socket over which operators look into a running sender or receiver.
package control

import (
	"time"

	"ftfuse/internal/record"
)

// The paths that a running process answers.
const (
	PathStatus  = "/v1/status"  // GET: Status; with the query AskWritten its figures cover what was written before it was asked
	PathExplain = "/v1/explain" // GET with the parameter path, of a receiver also host: Explanation
	PathReload  = "/v1/reload"  // POST: Reload
)

// AskWritten has a sender count, in Unseen, all that is written and not in the queue, as of now: spools are measured for it.
const AskWritten = "written"

// Count is a number of input bytes and of the records in them.
type Count struct {
	Bytes   uint64 `json:"bytes"`
	Records uint64 `json:"records"`
}

// Plus returns the sum.
func (c Count) Plus(o Count) Count { return Count{c.Bytes + o.Bytes, c.Records + o.Records} }

// Drops counts what was dropped, by the names of record.Reason.
type Drops map[string]Count

// Total returns the sum over all reasons.
func (d Drops) Total() Count {
	var sum Count
	for _, c := range d {
		sum = sum.Plus(c)
	}
	return sum
}

// Add counts c under the reason.
func (d Drops) Add(why record.Reason, c Count) { d[why.String()] = d[why.String()].Plus(c) }

// Status is the answer to PathStatus. Exactly one of Sender and Receiver is set.
type Status struct {
	Role    string    `json:"role"` // sender or receiver
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	Since   time.Time `json:"since"` // start of the process
	Now     time.Time `json:"now"`   // when the answer was made
	Trouble []string  `json:"trouble,omitempty"`
	// Unhealthy is why /healthz answers 503; Judge fills it.
	Unhealthy    []Reason        `json:"unhealthy,omitempty"`
	Certificates []Certificate   `json:"certificates,omitempty"` // own ones
	Sender       *SenderStatus   `json:"sender,omitempty"`
	Receiver     *ReceiverStatus `json:"receiver,omitempty"`
}

// Certificate is an own certificate, by which peers know this side.
type Certificate struct {
	Target   string    `json:"target,omitempty"` // of a sender: who gets it
	File     string    `json:"file"`
	Identity string    `json:"identity"`
	Expires  time.Time `json:"expires"`
}

// SenderStatus is what a sender knows of itself.
type SenderStatus struct {
	ID      string         `json:"id"`
	Mounts  []MountStatus  `json:"mounts"`
	Spools  int            `json:"spools"` // files of captured bytes, of all mounts together
	Disk    uint64         `json:"disk"`   // bytes that they take, delivered ones that stay readable included
	Unseen  uint64         `json:"unseen"` // bytes in them that the follower has not registered yet
	Flows   []Flow         `json:"flows"`
	Queue   QueueStatus    `json:"queue"`
	Targets []TargetStatus `json:"targets"`
	Peers   []PeerStatus   `json:"peers"` // the receivers of all targets
	// Outputs are those of this machine.
	Outputs []OutputStatus `json:"outputs,omitempty"`
}

// MountStatus is one captured directory.
type MountStatus struct {
	Name  string      `json:"name"`
	Path  string      `json:"path"`
	State string      `json:"state"` // serving, or what is wrong
	Opens []OpenCount `json:"opens"`

	Requests  uint64 `json:"requests"` // from the kernel
	Writes    uint64 `json:"writes"`   // of those, write(2) by write capture
	Panics    uint64 `json:"panics"`   // requests that failed by a mistake in ftfuse
	TakeOvers uint64 `json:"take_overs"`
	Handles   int    `json:"handles"` // open files and directories
	Nodes     int    `json:"nodes"`   // inodes that the kernel knows
	Files     int    `json:"files"`   // captured files in use
}

// OpenCount says how often a file was opened in a mode, and why in that one.
type OpenCount struct {
	Mode   string `json:"mode"` // open, write, stored, read
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// Flow accounts for what one rule sent towards one target.
type Flow struct {
	Rule      string `json:"rule"`
	Target    string `json:"target"`
	Captured  Count  `json:"captured"`
	Delivered Count  `json:"delivered"`
	Queued    Count  `json:"queued"`
	Filtered  Count  `json:"filtered"`
	Dropped   Drops  `json:"dropped"`
}

// Balanced reports whether captured = delivered + queued + filtered + dropped, which holds at any moment.
func (f Flow) Balanced() bool {
	return f.Captured == f.Delivered.Plus(f.Queued).Plus(f.Filtered).Plus(f.Dropped.Total())
}

// QueueStatus is the queue on disk. Bytes of a relay are those that wait for the target for which most do, as MaxSize is a bound
// for each of them.
type QueueStatus struct {
	Bytes    uint64    `json:"bytes"`    // captured bytes held for any target
	MaxSize  uint64    `json:"max_size"` // bound on Bytes; 0: none, as there are plug-ins only, which have bounds of their own
	DiskFree uint64    `json:"disk_free"`
	MinFree  uint64    `json:"min_free"`           // bound on DiskFree
	Oldest   time.Time `json:"oldest,omitzero"`    // when the oldest queued data was captured; zero: queue empty
	Disk     uint64    `json:"disk"`               // bytes that the queue itself takes on disk, besides the spools
	LastLoss time.Time `json:"last_loss,omitzero"` // since the start of the process, other than by expiry or an operator
	Epoch    uint64    `json:"epoch"`
	State    string    `json:"state"` // ok, full, or what is wrong
}

// QueueReport is the queue with what is in it, also of a sender that does not run.
type QueueReport struct {
	Now  time.Time `json:"now"`
	Live bool      `json:"live"` // told by the running sender
	// Damaged: something in the queue does not verify, so the numbers need not add up before a repair has counted it.
	Damaged bool        `json:"damaged"`
	Unseen  uint64      `json:"unseen,omitempty"` // of a running sender: bytes in spools that are not in the queue yet
	Closed  time.Time   `json:"closed,omitzero"`  // of a stopped one: when it closed its queue in order; zero: it did not
	Queue   QueueStatus `json:"queue"`
	Flows   []Flow      `json:"flows"`
}

// TargetStatus is a target as a whole.
type TargetStatus struct {
	Name      string    `json:"name"`
	Policy    string    `json:"policy,omitempty"`   // "": it has one receiver
	Oldest    time.Time `json:"oldest,omitzero"`    // when the oldest data that waits for it was captured
	LastAck   time.Time `json:"last_ack,omitzero"`  // of any of its receivers
	HandOvers uint64    `json:"hand_overs"`         // times that others stood in for a member
	Uncertain Count     `json:"uncertain"`          // may be at more than one receiver, as it was under way at a hand-over
	DNS       string    `json:"dns,omitempty"`      // what the DNS could not tell; its last answer holds
	DNSSince  time.Time `json:"dns_since,omitzero"` // since when
}

// PeerStatus is a sender's connection to one receiver.
type PeerStatus struct {
	Target     string        `json:"target"`
	Member     string        `json:"member,omitempty"`   // "": the target has one receiver; with a class, it stands behind a colon
	Class      string        `json:"class,omitempty"`    // high or low: the connection is for data of rules with that priority
	Address    string        `json:"address"`            // as it is configured, or as the DNS says
	Receiver   string        `json:"receiver,omitempty"` // id of who answered last
	Machine    string        `json:"machine,omitempty"`  // name of that one's machine
	Role       string        `json:"role,omitempty"`     // of one of several that data can go to: active, ready, returning, leaving, away, given up, standby, removed, clash
	Waiting    Count         `json:"waiting"`            // that is to go there, and is not acknowledged
	TLS        bool          `json:"tls"`
	Identity   string        `json:"identity,omitempty"` // of the receiver, by its certificate, when it was connected last
	State      string        `json:"state"`              // connected, connecting, waiting
	Since      time.Time     `json:"since"`              // in this state
	Turned     time.Time     `json:"turned"`             // when it became connected last, or ceased to be
	LastAck    time.Time     `json:"last_ack,omitzero"`
	Oldest     time.Time     `json:"oldest,omitzero"` // when the oldest data that waits for it was captured
	Old        Count         `json:"old,omitzero"`    // of what waits, what was there when it came back, and what is fresher goes past it
	Fresh      Count         `json:"fresh,omitzero"`  // of what waits, that; both zero: all goes in order
	RTT        time.Duration `json:"rtt_ns"`          // of the last PING; 0: none was needed yet
	Window     uint64        `json:"window"`          // bytes that may be unacknowledged
	InFlight   uint64        `json:"in_flight"`       // bytes that are
	Sent       Count         `json:"sent"`            // since the start of the process, what was sent again included
	Acked      Count         `json:"acked"`
	Wire       uint64        `json:"wire"`             // bytes of frames sent
	ByteRate   float64       `json:"bytes_per_second"` // acknowledged, since the last look
	RecordRate float64       `json:"records_per_second"`
	Reconnects uint64        `json:"reconnects"`
	Failures   uint64        `json:"failures"`        // connections and attempts that failed
	Error      string        `json:"error,omitempty"` // the last one
	ErrorAt    time.Time     `json:"error_at,omitzero"`
}

// Name is that of the target, and of its member where it has several.
func (p *PeerStatus) Name() string {
	if p.Member == "" {
		return p.Target
	}
	return p.Target + "/" + p.Member
}

// Connected reports whether data can go there now.
func (p *PeerStatus) Connected() bool { return p.State == "connected" || p.State == "draining" }

// Word says in a word or two how it is.
func (p *PeerStatus) Word() string {
	if p.Role != "" {
		return p.Role
	}
	return p.State
}

// ReceiverStatus is what a receiver knows of itself.
type ReceiverStatus struct {
	Listen  []string          `json:"listen"`
	Peers   []SourceStatus    `json:"peers"`
	Outputs []OutputStatus    `json:"outputs"`
	Refused map[string]uint64 `json:"refused"` // connections, by reason
	Memory  uint64            `json:"memory"`  // bytes received and not written yet
	Limit   uint64            `json:"limit"`   // bound on Memory
	Totals  IngestTotals      `json:"totals"`
	Ledger  LedgerStatus      `json:"ledger"`
	// Of a receiver that has had targets or plug-ins: what waits for them.
	Queue *QueueStatus `json:"queue,omitempty"`
	Flows []Flow       `json:"flows,omitempty"`
	// Targets are those of a relay, Receivers who they consist of.
	Targets   []TargetStatus `json:"targets,omitempty"`
	Receivers []PeerStatus   `json:"receivers,omitempty"`
}

// IngestTotals counts over all connections since the start of the process, those that have ended included.
type IngestTotals struct {
	Connections int    `json:"connections"` // open now
	Accepted    uint64 `json:"accepted"`
	Wire        uint64 `json:"wire"`     // bytes of frames with data, as they came
	Failures    uint64 `json:"failures"` // attempts to write that failed and were made again
	Received    Count  `json:"received"`
	Stored      Count  `json:"stored"`
	Duplicates  Count  `json:"duplicates"`
}

// LedgerStatus is the receiver's memory of what it holds.
type LedgerStatus struct {
	Disk     uint64 `json:"disk"`     // bytes
	Salvages int    `json:"salvages"` // openings that found damage
}

// SourceStatus is one sender as the receiver sees it.
type SourceStatus struct {
	Sender     string    `json:"sender"` // its id
	Host       string    `json:"host"`
	Address    string    `json:"address"`
	TLS        bool      `json:"tls"`
	Identity   string    `json:"identity"`         // by its certificate; without TLS its address
	Peer       string    `json:"peer,omitempty"`   // of the configuration, that says what it may
	Paused     string    `json:"paused,omitempty"` // why nothing is taken from it just now
	State      string    `json:"state"`
	Since      time.Time `json:"since"`
	Epoch      uint64    `json:"epoch"`
	Received   Count     `json:"received"`
	Stored     Count     `json:"stored"`           // of those, written
	Duplicates Count     `json:"duplicates"`       // of those, not written since they had been already
	ByteRate   float64   `json:"bytes_per_second"` // received, since the last look
	RecordRate float64   `json:"records_per_second"`
	Error      string    `json:"error,omitempty"` // of the outputs, as long as it lasts
}

// OutputStatus is one output, of a receiver or of a sender.
type OutputStatus struct {
	Name       string    `json:"name"`
	Type       string    `json:"type"`              // file, journal or plugin
	State      string    `json:"state,omitempty"`   // of one that is fed from the queue
	Oldest     time.Time `json:"oldest,omitzero"`   // when the oldest data that waits for it was captured
	LastAck    time.Time `json:"last_ack,omitzero"` // of one that is fed from the queue: when it has taken something last
	Base       string    `json:"base"`              // of a plug-in: its command
	Files      int       `json:"files"`             // open now
	Written    Count     `json:"written"`
	FileBytes  uint64    `json:"file_bytes"` // bytes written to files: more than Written.Bytes with a template
	Duplicates uint64    `json:"duplicates"` // chunks that were in the files already
	Gaps       uint64    `json:"gaps"`       // how often senders said that something will never come
	Missing    Drops     `json:"missing"`    // what will not, by the sender's reason
	Unowned    uint64    `json:"unowned"`    // bytes of somebody else found in our files
	Uncertain  uint64    `json:"uncertain"`  // bytes that may be in the files twice
	Misplaced  uint64    `json:"misplaced"`  // chunks whose path could not be used
	Rotated    uint64    `json:"rotated"`    // files
	Error      string    `json:"error,omitempty"`
	ErrorAt    time.Time `json:"error_at,omitzero"`

	Plugin *PluginStatus `json:"plugin,omitempty"` // of a plug-in
}

// PluginStatus is the program of an output.
type PluginStatus struct {
	PID         int           `json:"pid"` // 0: it does not run
	Starts      uint64        `json:"starts"`
	Restarts    uint64        `json:"restarts"` // ends that nobody asked for
	LastExit    string        `json:"last_exit,omitempty"`
	ExitedAt    time.Time     `json:"exited_at,omitzero"`
	Again       uint64        `json:"again"`     // bytes that were given and came again after its end
	InFlight    uint64        `json:"in_flight"` // bytes given and not taken for good
	Lag         time.Duration `json:"lag_ns"`    // age of the oldest of these
	StdoutLines uint64        `json:"stdout_lines"`
	StderrLines uint64        `json:"stderr_lines"`
	LinesLost   uint64        `json:"lines_lost"` // of its own, that the journal did not take
}
