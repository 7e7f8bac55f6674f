package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// crowd is a receiver and the senders of it.
type crowd struct {
	dir, address, metrics string
	tools                 tools
	receiver              *process
	fleet                 *fleet
	certs                 *certificates // nil: they speak without TLS
	n                     int
}

const crowdYAML = `
state_dir: %[1]s/receiver
control: {socket: %[1]s/receiver.sock}
listen: ["%[2]s"]
metrics: {listen: "%[3]s"}
limits: {connections: %[4]d, per_address: %[5]d, memory: 128MiB}
outputs:
  - {name: files, base: %[1]s/out, path: "{host}/{path}", format: raw}
`

// newCrowd starts a receiver for n senders. close must be called, after an error too unless there is no crowd.
func newCrowd(ctx context.Context, t tools, base string, n int, transport string) (*crowd, error) {
	dir, err := os.MkdirTemp(base, "ftfuse-bench-")
	if err != nil {
		return nil, err
	}
	c := &crowd{dir: dir, tools: t, n: n}
	if transport == byTLS {
		c.certs, err = newCertificates(dir, n)
	}
	if err == nil {
		err = c.start(ctx)
	}
	return c, err
}

// transport is how the senders are connected.
func (c *crowd) transport() string {
	if c.certs != nil {
		return byTLS
	}
	return byPlain
}

// start starts the receiver, on free ports the first time.
func (c *crowd) start(ctx context.Context) (err error) {
	config := filepath.Join(c.dir, "receiver.yaml")
	if c.address == "" {
		for _, at := range []*string{&c.address, &c.metrics} {
			l, err := net.Listen("tcp", loopback+":0")
			if err != nil {
				return err
			}
			*at = l.Addr().String()
			if err := l.Close(); err != nil {
				return err
			}
		}
		text := fmt.Appendf(nil, crowdYAML, c.dir, c.address, c.metrics, c.n+1000, 2*perAddress)
		if c.certs != nil {
			text = append(text, c.certs.receiver()...)
		}
		if err := os.WriteFile(config, text, 0o644); err != nil {
			return err
		}
	}
	c.receiver, err = launch("receiver", filepath.Join(c.dir, "receiver.log"), c.tools.ftfuse, "receiver", "--config", config)
	if err != nil {
		return err
	}
	return c.receiver.await(ctx, startLimit, "metrics", func() bool { _, err := c.metric("go_goroutines"); return err == nil })
}

func (c *crowd) close() error {
	if c.fleet != nil {
		c.fleet.close()
	}
	var err error
	if c.receiver != nil {
		err = c.receiver.end()
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

// metric asks the receiver for one of its metrics without labels.
func (c *crowd) metric(name string) (float64, error) {
	answer, err := http.Get("http://" + c.metrics + "/metrics")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	_, rest, found := bytes.Cut(b, []byte("\n"+name+" "))
	if !found {
		return 0, fmt.Errorf("no metric %s", name)
	}
	value, _, _ := bytes.Cut(rest, []byte("\n"))
	return strconv.ParseFloat(string(value), 64)
}

// footprint is what the receiver takes at one moment.
type footprint struct{ resident, goes, descriptors, cpu float64 } // KiB, KiB of heap and stacks, count, s

func (c *crowd) footprint() (f footprint, err error) {
	_, anonymous, err := c.receiver.memory()
	if err != nil {
		return f, err
	}
	heap, err1 := c.metric("go_memstats_heap_inuse_bytes")
	stacks, err2 := c.metric("go_memstats_stack_inuse_bytes")
	names, err3 := os.ReadDir(c.receiver.proc("fd"))
	f.resident, f.goes, f.descriptors = anonymous*1024, (heap+stacks)/1024, float64(len(names))
	cpu, err4 := c.receiver.cpu()
	f.cpu = cpu
	return f, errors.Join(err1, err2, err3, err4)
}

// all waits until every sender is connected.
func (c *crowd) all(ctx context.Context) (time.Time, error) {
	var seen time.Time
	err := c.receiver.await(ctx, stallLimit, fmt.Sprintf("%d senders", c.n), func() bool {
		seen = time.Now()
		return c.fleet.connected.Load() == int64(c.n)
	})
	return seen, err
}
