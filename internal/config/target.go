package config

import "time"

// Target is one or more receivers to which queued data goes: of a sender, or of a receiver that relays.
type Target struct {
	Name          string        `koanf:"name" form:"name"`
	Address       string        `koanf:"address" form:"receiver?"` // of the only member; "": Members lists them
	TLS           TargetTLS     `koanf:"tls"`                      // of all members
	Insecure      bool          `koanf:"insecure"`                 // without TLS, although they are not on this machine
	Policy        string        `koanf:"policy" oneof:"failover balance hash broadcast only"`
	Members       []Member      `koanf:"members"`           // in the order of failover
	Only          string        `koanf:"only" form:"name?"` // of policy only: the member that gets everything
	Hash          string        `koanf:"hash" oneof:"sender host path mount rule unit uid command"`
	Replicas      int           `koanf:"replicas" min:"0" max:"63"` // of policy hash: how many others may stand in for a member; 0: all
	HandOver      time.Duration `koanf:"hand_over" min:"100ms" max:"24h"`
	ReturnAfter   time.Duration `koanf:"return_after" min:"0s" max:"24h"`
	MaxAge        time.Duration `koanf:"max_age" min:"0s"` // of a connection, with jitter; 0: none
	RateLimit     RateLimit     `koanf:"rate_limit"`
	Order         string        `koanf:"order" oneof:"fifo fresh-first"`
	Backlog       Size          `koanf:"backlog" min:"0"` // queued for one cursor at most; 0: what the queue has room for
	Resolve       time.Duration `koanf:"resolve" min:"1s" max:"24h"`
	Ack           string        `koanf:"ack" oneof:"hop end"` // of a relay: who must have the data before its sender is told
	Compression   string        `koanf:"compression" oneof:"none s2 zstd"`
	Level         int           `koanf:"level" min:"1" max:"22"`      // zstd only
	Window        Size          `koanf:"window" min:"64KiB"`          // sent and not acknowledged, bytes
	WindowBatches int           `koanf:"window_batches" min:"1"`      // sent and not acknowledged, batches
	Timeouts      Timeouts      `koanf:"timeouts"`                    //
	Backoff       Backoff       `koanf:"backoff"`                     // between attempts to connect
	Keepalive     time.Duration `koanf:"keepalive" min:"1s" max:"1h"` // a PING after so much silence
}

// Member is one receiver of a target, or as many as a name of the DNS stands for.
type Member struct {
	Name    string `koanf:"name" form:"name"`
	Address string `koanf:"address" form:"receiver"`
	Weight  int    `koanf:"weight" min:"1" max:"65535"` // its share, with balance and hash; of srv: the DNS says it
}

// RateLimit bounds what a target sends, all its members together.
type RateLimit struct {
	Bytes Size          `koanf:"bytes" min:"0"`              // a second, as they go over the line; 0: no limit
	Burst time.Duration `koanf:"burst" min:"100ms" max:"1h"` // allowance that can be saved up
}

// Receivers returns the members; one address stands for one member of the target's own name.
func (t *Target) Receivers() []Member {
	if t.Address != "" {
		return []Member{{Name: t.Name, Address: t.Address, Weight: 1}}
	}
	return t.Members
}

// Several reports whether data for the target can be at one of several receivers, so that something must choose.
func (t *Target) Several() bool {
	list := t.Receivers()
	return t.Policy != "broadcast" && t.Policy != "only" && (len(list) > 1 || len(list) == 1 && Resolved(list[0].Address))
}

// Timeouts bound the steps of a connection to a receiver. Nothing is dropped for one: the sender reconnects.
type Timeouts struct {
	Connect time.Duration `koanf:"connect" min:"100ms" max:"10m"`
	Write   time.Duration `koanf:"write" min:"100ms" max:"10m"`
	Ack     time.Duration `koanf:"ack" min:"100ms" max:"1h"` // silence of the receiver while it owes an answer
}

// Backoff is the pause between attempts: doubled from Min up to Max, with jitter.
type Backoff struct {
	Min time.Duration `koanf:"min" min:"1ms" max:"1h"`
	Max time.Duration `koanf:"max" min:"1ms" max:"24h"`
}
