package config

import (
	"reflect"
	"time"

	"ftfuse/internal/record"
)

// Port is the TCP port that receivers listen on unless told otherwise.
const Port = "24747"

// DefaultSender returns what holds where sender.yaml says nothing. Empty SpoolDir, Queue.Dir and Host stand for
// values that follow from others; Load fills them in.
func DefaultSender() Sender {
	mount := defaultMount()
	mount.Name, mount.Path = "log", "/var/log/ftfuse"
	rotated := DefaultRule()
	rotated.Name, rotated.Match, rotated.Send = "rotated", RotatedNames(), false
	rest := DefaultRule()
	rest.Name, rest.Match = "default", []string{"**"}
	target := defaultTarget()
	target.Name, target.Address = "default", "127.0.0.1:"+Port
	return Sender{
		StateDir: "/var/lib/ftfuse/sender",
		Control:  Control{Socket: "/run/ftfuse/sender.sock", Mode: 0o660, Group: Keep},
		Log:      Log{Level: "info", Format: "auto"},
		Metrics:  Metrics{UnreachableAfter: 5 * time.Minute},
		Mounts:   []Mount{mount},
		Rules:    []Rule{rotated, rest},
		Queue: Queue{
			MaxSize:     8 << 30,
			MinFree:     512 << 20,
			Durability:  "os",
			SegmentSize: 64 << 20,
		},
		Targets: []Target{target},
	}
}

// RotatedNames are the names that rotation and compression give. Sending those would double their data.
func RotatedNames() []string {
	const day = "[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]"
	return []string{
		"**/*.gz", "**/*.xz", "**/*.zst", "**/*.bz2",
		"**/*.[0-9]", "**/*.[0-9][0-9]",
		"**/*-" + day, // logrotate's dateext
		"**/*.[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]", // Python's TimedRotatingFileHandler
	}
}

// DefaultReceiver returns what holds where receiver.yaml says nothing.
func DefaultReceiver() Receiver {
	output := defaultOutput()
	output.Name, output.Base = "files", "/var/log/ftfuse-received"
	return Receiver{
		StateDir: "/var/lib/ftfuse/receiver",
		Control:  Control{Socket: "/run/ftfuse/receiver.sock", Mode: 0o660, Group: Keep},
		Log:      Log{Level: "info", Format: "auto"},
		Metrics:  Metrics{UnreachableAfter: 5 * time.Minute},
		Listen:   []string{"127.0.0.1:" + Port},
		Limits: Limits{
			Connections:      1024,
			PerAddress:       64,
			Memory:           32 << 20,
			HandshakeTimeout: 10 * time.Second,
			IdleTimeout:      2 * time.Minute,
			WriteTimeout:     30 * time.Second,
		},
		Queue:   RelayQueue{MaxSize: 8 << 30, MinFree: 512 << 20, Durability: "os"},
		Outputs: []Output{output},
	}
}

// defaultElements returns what an element of each list gets for the keys that it does not name, for the configuration
// of type root.
func defaultElements(root reflect.Type) []any {
	output := defaultOutput()
	if root == reflect.TypeFor[Sender]() {
		output.Path = "{path}"
	}
	return []any{
		defaultMount(), DefaultRule(), defaultReceiverRule(), defaultTarget(), defaultPeer(), output,
		Filter{With: "***"}, Limit{Per: "rule", Burst: 10 * time.Second, Every: 24 * time.Hour},
		Member{Weight: 1}, Pattern{}, Test{}, Expect{},
	}
}

func defaultMount() Mount {
	return Mount{UID: Keep, GID: Keep, AllowOther: true, Existing: "send"}
}

// DefaultRule returns what a rule has where it says nothing, and what holds where no rule matches.
func DefaultRule() Rule {
	return Rule{
		Send:      true,
		Capture:   record.Auto,
		Unit:      record.Line,
		LineEnd:   record.LF,
		Join:      Join{Wait: time.Second, Lines: 1000},
		MaxRecord: record.MaxChunk,
		TooLong:   record.Split,
		MaxAge:    5 * time.Second,
		Readback:  16 << 20,
		Priority:  "normal",
		WhenFull:  record.DropOldest,
		Block:     10 * time.Second,
		Otherwise: "allow",
		Sample:    1,
		Targets:   []string{"default"},
	}
}

func defaultReceiverRule() ReceiverRule { return ReceiverRule{Otherwise: "allow", Sample: 1} }

func defaultTarget() Target {
	return Target{
		Policy:        "failover",
		Hash:          "path",
		HandOver:      10 * time.Second,
		ReturnAfter:   30 * time.Second,
		MaxAge:        time.Hour,
		RateLimit:     RateLimit{Burst: time.Second},
		Order:         "fifo",
		Resolve:       30 * time.Second,
		Ack:           "hop",
		Compression:   "none",
		Level:         1,
		Window:        16 << 20,
		WindowBatches: 64,
		Timeouts:      Timeouts{Connect: 5 * time.Second, Write: 30 * time.Second, Ack: time.Minute},
		Backoff:       Backoff{Min: 200 * time.Millisecond, Max: 30 * time.Second},
		Keepalive:     15 * time.Second,
	}
}

func defaultOutput() Output {
	return Output{
		Type:       "file",
		Path:       "{host}/{path}",
		Format:     "raw",
		Template:   "%L",
		TimeFormat: "%Y-%m-%dT%H:%M:%S.%-%z",
		TimeZone:   "local",
		Rotate:     Rotate{Compress: "none"},
		FileMode:   0o640,
		DirMode:    0o750,
		Durability: "os",
		Plugin: Plugin{
			User: Keep, Group: Keep,
			Directory:   "/",
			Stdout:      "journal",
			StopTimeout: 10 * time.Second,
			Restart:     Backoff{Min: 100 * time.Millisecond, Max: time.Minute},
		},
	}
}
