// Package config reads, merges and judges the configuration files of a sender and a receiver.
package config

import "time"

// Sender is what sender.yaml says. The tags are the schema: koanf names the key, oneof, min, max and form bound
// its value (a form's question mark allows an empty text), and docs/configuration.md explains it to people.
type Sender struct {
	Host     string    `koanf:"host"`                   // name sent to receivers
	StateDir string    `koanf:"state_dir" form:"path"`  // identity, cursors, pick-up positions
	SpoolDir string    `koanf:"spool_dir" form:"path?"` // captured bytes that are not delivered yet
	Control  Control   `koanf:"control"`
	Log      Log       `koanf:"log"`
	Metrics  Metrics   `koanf:"metrics"`
	Mounts   []Mount   `koanf:"mounts"`
	Rules    []Rule    `koanf:"rules"`
	Queue    Queue     `koanf:"queue"`
	Targets  []Target  `koanf:"targets"`
	Outputs  []Output  `koanf:"outputs"` // on this machine; they and targets share one space of names
	Patterns []Pattern `koanf:"patterns"`
	Tests    []Test    `koanf:"tests"`
}

// Control is the local control socket.
type Control struct {
	Socket string  `koanf:"socket" form:"path"`
	Mode   Mode    `koanf:"mode"`
	Group  GroupID `koanf:"group"` // Keep: the group of the process
}

// Log says what is logged and how.
type Log struct {
	Level  string `koanf:"level" oneof:"debug info warn error"`
	Format string `koanf:"format" oneof:"auto text json journal"` // auto: journal if stderr is one, else text
}

// Metrics says where Prometheus and health checks ask.
type Metrics struct {
	Listen           string        `koanf:"listen" form:"address?"`              // of this machine; "": nowhere
	UnreachableAfter time.Duration `koanf:"unreachable_after" min:"1s" max:"7d"` // a target that is away so long is unhealthy
}

// Mount is one captured directory.
type Mount struct {
	Name       string  `koanf:"name" form:"name"`
	Path       string  `koanf:"path" form:"path"`
	Umask      Mode    `koanf:"umask"` // cleared from the mode of what is created, besides the creator's own umask
	UID        UserID  `koanf:"uid"`   // owner of what is created; Keep: the creator
	GID        GroupID `koanf:"gid"`   // group of what is created; Keep: the creator's
	AllowOther bool    `koanf:"allow_other"`
	Existing   string  `koanf:"existing" oneof:"send skip"` // files found at the very first start
}

// Queue is the durable queue on the sender's disk.
type Queue struct {
	Dir         string `koanf:"dir" form:"path?"`
	MaxSize     Size   `koanf:"max_size" min:"1MiB"`
	MinFree     Size   `koanf:"min_free" min:"0"`
	Durability  string `koanf:"durability" oneof:"memory os disk"`
	SegmentSize Size   `koanf:"segment_size" min:"1MiB" max:"1GiB"`
}
