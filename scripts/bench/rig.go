package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// start is how long a program may take to be ready, stall how long data may take to arrive, if it is not more than slowest brings.
const (
	startLimit = 20 * time.Second
	stallLimit = 3 * time.Minute
	slowest    = 10 << 20 // bytes a second
)

// rig is a sender and a receiver on this machine with folders of their own.
type rig struct {
	dir              string // everything is below it
	tools            tools
	address          string
	rules            string // more of the sender's, as YAML
	target           string // more keys of the target, as YAML
	sender, receiver *process
}

// Names below rig.dir.
const (
	autoMount  = "log"   // rule: capture auto
	openMount  = "open"  // rule: capture open
	writeMount = "write" // rule: capture write
	outputDir  = "out"
)

func (r *rig) path(names ...string) string {
	return filepath.Join(append([]string{r.dir}, names...)...)
}

// newRig starts both sides below a new folder of base, with more rules or none. close must be called.
func newRig(ctx context.Context, t tools, base, rules string) (*rig, error) {
	return newRigWith(ctx, t, base, rules, "")
}

// newRigWith is newRig with more keys for the target.
func newRigWith(ctx context.Context, t tools, base, rules, target string) (*rig, error) {
	dir, err := os.MkdirTemp(base, "ftfuse-bench-")
	if err != nil {
		return nil, err
	}
	r := &rig{dir: dir, tools: t, rules: rules, target: target}
	err = r.prepare()
	if err == nil {
		err = r.startReceiver(ctx)
	}
	if err == nil {
		err = r.startSender(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *rig) prepare() error {
	for _, d := range []string{autoMount, openMount, writeMount, outputDir} {
		if err := os.Mkdir(r.path(d), 0o755); err != nil {
			return err
		}
	}
	// A port that is free now; the listener is closed at once and the receiver takes it.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.address = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	if err := os.WriteFile(r.path("sender.yaml"), fmt.Appendf(nil, senderYAML, r.dir, r.address, r.rules, r.target), 0o644); err != nil {
		return err
	}
	return os.WriteFile(r.path("receiver.yaml"), fmt.Appendf(nil, receiverYAML, r.dir, r.address), 0o644)
}

const senderYAML = `
host: bench
state_dir: %[1]s/sender
spool_dir: %[1]s/spool
control: {socket: %[1]s/sender.sock}
mounts:
  - {name: log, path: %[1]s/log}
  - {name: open, path: %[1]s/open}
  - {name: write, path: %[1]s/write}
rules:
  - {name: open, match: ["**"], mounts: [open], capture: open}
  - {name: write, match: ["**"], mounts: [write], capture: write}
  - {name: auto, match: ["**"], mounts: [log], capture: auto}
%[3]stargets:
  - {name: default, address: "%[2]s"%[4]s}
`

const receiverYAML = `
state_dir: %[1]s/receiver
control: {socket: %[1]s/receiver.sock}
listen: ["%[2]s"]
outputs:
  - {name: files, base: %[1]s/out, path: "{path}", format: raw}
`

func (r *rig) startReceiver(ctx context.Context) (err error) {
	r.receiver, err = launch("receiver", r.path("receiver.log"), r.tools.ftfuse, "receiver", "--config", r.path("receiver.yaml"))
	if err != nil {
		return err
	}
	return r.receiver.await(ctx, startLimit, "listener", func() bool {
		c, err := net.Dial("tcp", r.address)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

func (r *rig) startSender(ctx context.Context) (err error) {
	r.sender, err = launch("sender", r.path("sender.log"), r.tools.ftfuse, "sender", "--config", r.path("sender.yaml"))
	if err != nil {
		return err
	}
	return r.sender.await(ctx, startLimit, "mount", func() bool {
		return mounted(r.path(autoMount)) && mounted(r.path(openMount)) && mounted(r.path(writeMount))
	})
}

// stopReceiver ends the receiver only.
func (r *rig) stopReceiver() error {
	if r.receiver == nil {
		return nil
	}
	p := r.receiver
	r.receiver = nil
	return p.end()
}

// arrived waits until the output has so many bytes, and returns when it saw that.
func (r *rig) arrived(ctx context.Context, name string, size int64) (time.Time, error) {
	var seen time.Time
	limit := max(stallLimit, time.Duration(size/slowest)*time.Second)
	err := r.sender.await(ctx, limit, fmt.Sprintf("%s of %d bytes", r.path(outputDir, name), size), func() bool {
		st, err := os.Stat(r.path(outputDir, name))
		seen = time.Now()
		return err == nil && st.Size() >= size
	})
	return seen, err
}

// forget removes a file on both sides, so that disk use stays small.
func (r *rig) forget(mount, name string) error {
	return errors.Join(os.Remove(r.path(mount, name)), os.Remove(r.path(outputDir, name)))
}

// cpu returns the seconds of processor time of both sides together.
func (r *rig) cpu() (sender, receiver float64, err error) {
	sender, err1 := r.sender.cpu()
	receiver, err2 := r.receiver.cpu()
	return sender, receiver, errors.Join(err1, err2)
}

// close stops both sides and removes the folder.
func (r *rig) close() error {
	var errs []error
	if r.sender != nil {
		errs = append(errs, r.sender.end())
	}
	errs = append(errs, r.stopReceiver())
	for _, m := range []string{autoMount, openMount, writeMount} {
		detach(r.path(m))
		if mounted(r.path(m)) {
			return errors.Join(append(errs, fmt.Errorf("%s is still mounted", r.path(m)))...)
		}
	}
	return errors.Join(append(errs, os.RemoveAll(r.dir))...)
}
