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
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ftfuse/internal/wire"
)

// lineRate is how many lines a second all simulated senders send together.
const lineRate = 100_000

// descriptors is what the receiver's unit gives it, and what the senders need as well.
const descriptors = 1 << 16

// scale measures what many senders cost one receiver: idle, with a line now and then each, and when all come back at once.
func scale(ctx context.Context, o options, t tools, rep *report) error {
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: descriptors, Max: descriptors}); err != nil {
		return fmt.Errorf("raise the limit of descriptors to %d: %w", descriptors, err)
	}
	idle := table{title: "Many senders, idle: what each costs the receiver",
		head: []string{"senders", "connected in s", "resident KiB each", "heap and stacks KiB each", "descriptors each", "CPU % of a core"},
		note: fmt.Sprintf("Plain TCP over loopback, all from one process. Memory is what the receiver has more than before the first "+
			"sender, after %v without a line. Goal: at most 32 KiB each. Memory of the kernel's (sockets) is not in it.", o.settle)}
	busy := table{title: fmt.Sprintf("Many senders, %s lines/s in all", number(lineRate)),
		head: []string{"senders", "lines/s sent", "lines/s stored", "receiver CPU % of a core", "resident MiB", "open files"},
		note: fmt.Sprintf("For %v, each sender one batch a second, lines of %d bytes, a file for each sender on the disk, which has each byte at the end. "+
			"The receiver has the settings of scale.md for many senders.", o.settle, lineSize)}
	herd := table{title: "Many senders, the receiver starts anew: until all are back",
		head: []string{"senders", "after", "s", "failed attempts", "receiver CPU s"},
		note: "From the signal on. Stopped in order it says GOAWAY with a time for each to come back at; killed, senders come by their back-off."}
	for _, n := range o.senders {
		if err := scaleOf(ctx, o, t, n, [3]*table{&idle, &busy, &herd}); err != nil {
			return fmt.Errorf("%d senders: %w", n, err)
		}
		progress("scale: %d senders", n)
	}
	return errors.Join(rep.add(idle), rep.add(busy), rep.add(herd))
}

func scaleOf(ctx context.Context, o options, t tools, n int, tabs [3]*table) (err error) {
	c, err := newCrowd(ctx, t, o.disk, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.idle(ctx, o, tabs[0]); err != nil {
		return err
	}
	if err := c.busy(ctx, o, tabs[1]); err != nil {
		return err
	}
	for _, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := c.again(ctx, how, tabs[2]); err != nil {
			return err
		}
	}
	return nil
}

// crowd is a receiver and the senders of it.
type crowd struct {
	dir, address, metrics string
	tools                 tools
	receiver              *process
	fleet                 *fleet
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

func newCrowd(ctx context.Context, t tools, base string, n int) (*crowd, error) {
	dir, err := os.MkdirTemp(base, "ftfuse-bench-")
	if err != nil {
		return nil, err
	}
	c := &crowd{dir: dir, tools: t, n: n}
	err = c.start(ctx)
	return c, err
}

// start starts the receiver, on free ports the first time.
func (c *crowd) start(ctx context.Context) (err error) {
	config := filepath.Join(c.dir, "receiver.yaml")
	if c.address == "" {
		for _, at := range []*string{&c.address, &c.metrics} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			*at = l.Addr().String()
			if err := l.Close(); err != nil {
				return err
			}
		}
		if err := os.WriteFile(config, fmt.Appendf(nil, crowdYAML, c.dir, c.address, c.metrics, c.n+1000, 2*perAddress), 0o644); err != nil {
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

func (c *crowd) idle(ctx context.Context, o options, t *table) error {
	before, err := c.footprint()
	if err != nil {
		return err
	}
	begin := time.Now()
	c.fleet = newFleet(ctx, c.address, c.n)
	end, err := c.all(ctx)
	if err != nil {
		return err
	}
	f1, err := c.footprint()
	if err != nil {
		return err
	}
	if err := pause(ctx, o.settle); err != nil {
		return err
	}
	f, err := c.footprint()
	if err != nil {
		return err
	}
	each := func(after, before float64) string { return number((after - before) / float64(c.n)) }
	t.add(strconv.Itoa(c.n), number(end.Sub(begin).Seconds()), each(f.resident, before.resident), each(f.goes, before.goes),
		each(f.descriptors, before.descriptors), number(100*(f.cpu-f1.cpu)/o.settle.Seconds()))
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// busy lets every sender send one batch a second, and looks at what arrived.
func (c *crowd) busy(ctx context.Context, o options, t *table) error {
	before, err := c.receiver.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	sent, err := c.send(ctx, o.settle)
	if err != nil {
		return err
	}
	took := time.Since(begin)
	f, err := c.footprint()
	if err != nil {
		return err
	}
	if err := c.receiver.await(ctx, stallLimit, "acknowledgements", func() bool { return c.fleet.acked.Load() == sent }); err != nil {
		return err
	}
	stored := time.Since(begin)
	if err := c.verify(sent); err != nil {
		return err
	}
	t.add(strconv.Itoa(c.n), number(float64(sent)/took.Seconds()), number(float64(sent)/stored.Seconds()),
		number(100*(f.cpu-before)/took.Seconds()), number(f.resident/1024), number(f.descriptors-float64(c.n)))
	return nil
}

// send has a few workers go over all senders once a second. It returns how many lines were sent.
func (c *crowd) send(ctx context.Context, d time.Duration) (int64, error) {
	const workers = 8
	text := bytes.Repeat(append(bytes.Repeat([]byte("x"), lineSize-1), '\n'), max(1, lineRate/c.n))
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var sent atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			var enc wire.Encoder
			begin := time.Now()
			for k := 0; errs[w] == nil; k++ {
				round, i := k/(c.n/workers), k%(c.n/workers)
				due := begin.Add(time.Duration(round)*time.Second + time.Duration(i)*time.Second/time.Duration(c.n/workers))
				if pause(ctx, time.Until(due)) != nil {
					return
				}
				ok, err := c.fleet.peers[i*workers+w].send(&enc, text)
				if ok {
					sent.Add(int64(len(text) / lineSize))
				}
				errs[w] = err
			}
		})
	}
	wg.Wait()
	return sent.Load(), errors.Join(errs...)
}

// verify adds up the files.
func (c *crowd) verify(lines int64) error {
	files, err := filepath.Glob(filepath.Join(c.dir, "out", "host*", "app.log"))
	if err != nil {
		return err
	}
	var size int64
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			return err
		}
		size += st.Size()
	}
	if size != lines*lineSize || len(files) != c.n {
		return fmt.Errorf("got %d bytes in %d files, want %d in %d", size, len(files), lines*lineSize, c.n)
	}
	return nil
}

// again ends the receiver by a signal, starts it, and waits for all senders.
func (c *crowd) again(ctx context.Context, how syscall.Signal, t *table) error {
	failed, connects := c.fleet.failures.Load(), c.fleet.connects.Load()
	begin := time.Now()
	if how == syscall.SIGKILL {
		_ = c.receiver.cmd.Process.Kill()
		<-c.receiver.done
	} else if err := c.receiver.end(); err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	var end time.Time
	err := c.receiver.await(ctx, stallLimit, "all senders again", func() bool {
		end = time.Now()
		return c.fleet.connects.Load() >= connects+int64(c.n) && c.fleet.connected.Load() == int64(c.n)
	})
	if err != nil {
		return err
	}
	cpu, err := c.receiver.cpu()
	if err != nil {
		return err
	}
	name := map[syscall.Signal]string{syscall.SIGTERM: "SIGTERM", syscall.SIGKILL: "SIGKILL"}[how]
	t.add(strconv.Itoa(c.n), name, number(end.Sub(begin).Seconds()), strconv.FormatInt(c.fleet.failures.Load()-failed, 10), number(cpu))
	return nil
}
