// Package handover carries descriptors between the privileged programs and the sender: a new mount from the mount helper
// to the sender, and backing files from the sender to the broker.
//
// Both protocols are packets of SOCK_SEQPACKET sockets, with descriptors by SCM_RIGHTS (unix(7)). Both sides run on one
// machine and come in one package, but over an upgrade the one may be a version older than the other: what a side does not
// know in a JSON packet it ignores.
//
// A mount: one connection each.
//
//	helper: {"name": "app", "dir": "/var/log/app", "options": ["rw", "nosuid"]} with the descriptors of /dev/fuse and
//	        of the directory below
//	sender: {} when it serves the mount, else {"error": "...", "hint": "..."}
//
// The helper attaches the mount after the answer. If it does not, its superblock ends, and with it the connection that
// the sender serves.
//
// A backing file: many requests on one connection, one after the other. Numbers have the machine's byte order.
//
//	sender: int32 1 (open), int32 0    with the descriptors of /dev/fuse and of the file
//	        int32 2 (close), int32 id  with the descriptor of /dev/fuse
//	broker: int32 errno (0: done), int32 id, and after an error its reason as text
package handover

import (
	"errors"
	"os"
	"time"
)

// Request asks the sender to serve a mount that is not to be seen yet.
type Request struct {
	Name    string   `json:"name"`              // of the mount in sender.yaml
	Dir     string   `json:"dir"`               // where it will be attached, without symbolic links
	Options []string `json:"options,omitempty"` // the mount's flags, for the log

	OwnerOnly bool `json:"owner_only,omitempty"` // the mount is root's alone

	Fuse  *os.File `json:"-"` // /dev/fuse with a superblock whose INIT waits
	Below *os.File `json:"-"` // the directory that the mount will hide
}

// Refusal is the sender's reason not to serve a mount. It travels as text.
type Refusal struct {
	Text string `json:"error,omitempty"`
	Hint string `json:"hint,omitempty"` // what to do about it, may be empty
}

func (r *Refusal) Error() string { return r.Text }

// What Ask says besides a Refusal.
var (
	ErrNotRunning = errors.New("nobody answers there")
	ErrEnded      = errors.New("the sender ended before it answered")
	ErrNoAnswer   = errors.New("no answer in time")
)

// The bounds. A name, a path of at most 4096 bytes and options fit into maxPacket many times.
const (
	maxPacket   = 64 << 10
	maxHelpers  = 8               // at once; more wait to be accepted
	maxBrokered = 64              // connections of senders; more are closed at once
	packetTime  = 5 * time.Second // for one packet to come or to go, once a peer is there
	brokerTime  = 2 * time.Second // for the broker's answer
)
