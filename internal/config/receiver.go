package config

import "time"

// Receiver is what receiver.yaml says.
type Receiver struct {
	StateDir string          `koanf:"state_dir" form:"path"` // the ledger
	Control  Control         `koanf:"control"`
	Log      Log             `koanf:"log"`
	Metrics  ReceiverMetrics `koanf:"metrics"`
	Listen   []string        `koanf:"listen" form:"address"`
	Limits   Limits          `koanf:"limits"`
	Outputs  []Output        `koanf:"outputs"`
}

// ReceiverMetrics says where Prometheus and health checks ask.
type ReceiverMetrics struct {
	Listen string `koanf:"listen" form:"address?"` // of this machine; "": nowhere
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

// Output is a tree of files that received data is written to, or the journal of the machine.
type Output struct {
	Name       string `koanf:"name" form:"name"`
	Type       string `koanf:"type" oneof:"file journal"`
	Identifier string `koanf:"identifier"` // of a journal's entries; "": the last name of the file's path
	Base       string `koanf:"base" form:"path?"`
	Path       string `koanf:"path" form:"text"` // template, relative to Base
	Format     string `koanf:"format" oneof:"raw template json"`
	Template   string `koanf:"template"`    // the original's %-keys, for format template
	TimeFormat string `koanf:"time_format"` // strftime, and %- for nine digits of nanoseconds
	TimeZone   string `koanf:"time_zone" form:"zone"`
	Rotate     Rotate `koanf:"rotate"`
	FileMode   Mode   `koanf:"file_mode"`
	DirMode    Mode   `koanf:"dir_mode"`
	Durability string `koanf:"durability" oneof:"os disk"`
}

// Rotate says when a file is closed and renamed, and how many of those stay.
type Rotate struct {
	Size     Size          `koanf:"size" min:"0"`      // 0: not by size
	Age      time.Duration `koanf:"age" min:"0s"`      // 0: not by age
	Keep     int           `koanf:"keep" min:"0"`      // rotated files kept; 0: all
	KeepAge  time.Duration `koanf:"keep_age" min:"0s"` // rotated files older than this are removed; 0: never
	Compress string        `koanf:"compress" oneof:"none gzip zstd"`
}
