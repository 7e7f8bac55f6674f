package config

import "time"

// Receiver is what receiver.yaml says.
type Receiver struct {
	StateDir string         `koanf:"state_dir" form:"path"` // the ledger
	Control  Control        `koanf:"control"`
	Log      Log            `koanf:"log"`
	Metrics  Metrics        `koanf:"metrics"`
	Listen   []string       `koanf:"listen" form:"address"`
	TLS      TLS            `koanf:"tls"`
	Insecure bool           `koanf:"insecure"` // without TLS, although others than this machine reach it
	Peers    []Peer         `koanf:"peers"`    // none: whoever gets in may send everything
	Limits   Limits         `koanf:"limits"`
	Rules    []ReceiverRule `koanf:"rules"` // none: everything goes to every output and target
	Queue    RelayQueue     `koanf:"queue"`
	Targets  []Target       `koanf:"targets"` // of a relay; they and outputs share one space of names
	Outputs  []Output       `koanf:"outputs"`
	Patterns []Pattern      `koanf:"patterns"`
	Tests    []Test         `koanf:"tests"`
}

// Limits bound what peers can make the receiver use.
type Limits struct {
	Connections      int           `koanf:"connections" min:"1"`
	PerAddress       int           `koanf:"per_address" min:"1"`
	Memory           Size          `koanf:"memory" min:"16MiB" max:"1TiB"` // received and not written yet, of all peers
	HandshakeTimeout time.Duration `koanf:"handshake_timeout" min:"100ms" max:"10m"`
	IdleTimeout      time.Duration `koanf:"idle_timeout" min:"1s" max:"24h"`
	WriteTimeout     time.Duration `koanf:"write_timeout" min:"100ms" max:"10m"`
}

// RelayQueue bounds what waits on a receiver's disk for its targets and plug-ins.
type RelayQueue struct {
	MaxSize    Size   `koanf:"max_size" min:"1MiB"`
	MinFree    Size   `koanf:"min_free" min:"0"`
	Durability string `koanf:"durability" oneof:"os disk"`
}

// ReceiverRule decides about what arrives for the paths that it matches.
type ReceiverRule struct {
	Name      string   `koanf:"name" form:"name"`
	Match     []string `koanf:"match" form:"glob"`     // the path below the sender's mount
	Hosts     []string `koanf:"hosts" form:"wildcard"` // of the sending machine's name; none: all
	Filters   []Filter `koanf:"filters"`
	Otherwise string   `koanf:"otherwise" oneof:"allow deny"`
	Sample    int      `koanf:"sample" min:"1"`
	Outputs   []string `koanf:"outputs" form:"name"` // of outputs and targets; none: all of them
}

// Destinations are the names that rules may send to: targets, then outputs.
func (c *Receiver) Destinations() (list []string) {
	return append(names(c.Targets, nameOfTarget), names(c.Outputs, nameOfOutput)...)
}
