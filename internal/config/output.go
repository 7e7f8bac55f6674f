package config

import "time"

// Output is where data goes on this machine: a tree of files, the journal, or a program that is fed.
type Output struct {
	Name       string `koanf:"name" form:"name"`
	Type       string `koanf:"type" oneof:"file journal plugin"`
	Identifier string `koanf:"identifier"` // of a journal's entries; "": the last name of the file's path
	Base       string `koanf:"base" form:"dir?"`
	Below      string `koanf:"below" form:"name?"` // of a sender: the mount in whose directory Base then lies
	Path       string `koanf:"path" form:"text"`   // template, relative to Base
	Format     string `koanf:"format" oneof:"raw template json logfmt rfc5424 msgpack"`
	Template   string `koanf:"template"`    // the original's %-keys and {names}, for format template
	TimeFormat string `koanf:"time_format"` // strftime, and %- for nine digits of nanoseconds
	TimeZone   string `koanf:"time_zone" form:"zone"`
	Rotate     Rotate `koanf:"rotate"`
	FileMode   Mode   `koanf:"file_mode"`
	DirMode    Mode   `koanf:"dir_mode"`
	Durability string `koanf:"durability" oneof:"os disk"`
	Plugin     Plugin `koanf:"plugin"`
}

// Rotate says when a file is closed and renamed, and how many of those stay.
type Rotate struct {
	Size     Size          `koanf:"size" min:"0"`      // 0: not by size
	Age      time.Duration `koanf:"age" min:"0s"`      // 0: not by age
	Keep     int           `koanf:"keep" min:"0"`      // rotated files kept; 0: all
	KeepAge  time.Duration `koanf:"keep_age" min:"0s"` // rotated files older than this are removed; 0: never
	Compress string        `koanf:"compress" oneof:"none gzip zstd"`
}

// Plugin is the program of an output of type plugin. What its backlog has no room for is dropped, the oldest first.
type Plugin struct {
	Command       []string      `koanf:"command"` // argument vector, no shell; the program by its absolute path
	User          UserID        `koanf:"user"`    // Keep: who runs ftfuse
	Group         GroupID       `koanf:"group"`   // Keep: the user's first group, or that of ftfuse
	Directory     string        `koanf:"directory" form:"path"`
	Environment   []string      `koanf:"environment" form:"environment"` // NAME=VALUE, beside a small fixed environment
	Ack           bool          `koanf:"ack"`                            // it acknowledges on descriptor 3
	Stdout        string        `koanf:"stdout" oneof:"journal file records discard"`
	StdoutFile    string        `koanf:"stdout_file" form:"path?"`       // for Stdout file
	StdoutTargets []string      `koanf:"stdout_targets" form:"name"`     // for Stdout records
	Backlog       Size          `koanf:"backlog" min:"0"`                // queued for it at most; 0: what the queue has room for
	StopTimeout   time.Duration `koanf:"stop_timeout" min:"0s" max:"1h"` // between the end of its stdin and its kill
	Memory        Size          `koanf:"memory" min:"0"`                 // RLIMIT_AS; 0: none
	Files         int           `koanf:"files" min:"0" max:"1048576"`    // RLIMIT_NOFILE; 0: none
	Restart       Backoff       `koanf:"restart"`                        // between its starts
}
