package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ftfuse/internal/wire"
)

// lineRate is how many lines a second all simulated senders send together.
const lineRate = 100_000

// descriptors is what the receiver and the senders are to have each.
const descriptors = 1 << 16

// How senders may be connected.
const (
	byPlain = "plain"
	byTLS   = "TLS"
)

// scale measures what many senders cost one receiver: idle, with a line now and then each, and when all come back at once.
func scale(ctx context.Context, o options, t tools, rep *report) error {
	limit, err := raiseDescriptors(slices.Max(o.senders))
	if err != nil {
		return err
	}
	idle := table{title: "Many senders, idle: what each costs the receiver",
		head: []string{"senders", "by", "connected in s", "CPU ms each to connect", "resident KiB each", "heap and stacks KiB each", "descriptors each", "CPU % of a core"},
		note: fmt.Sprintf("TCP over loopback, all from one process, which also makes its side of the handshakes. Memory is what the receiver has more than before the first "+
			"sender, after %v without a line. Goal: at most 32 KiB each without TLS. Memory of the kernel's (sockets) is not in it. With TLS each sender "+
			"has a certificate of its own, as hosts have, and no session is resumed.", o.settle)}
	busy := table{title: fmt.Sprintf("Many senders, %s lines/s in all", number(lineRate)),
		head: []string{"senders", "by", "lines/s sent", "lines/s stored", "receiver CPU % of a core", "resident MiB", "open files"},
		note: fmt.Sprintf("For %v, each sender one batch a second, lines of %d bytes, a file for each sender on the disk, which has each byte at the end. "+
			"The receiver has the settings of scale.md for many senders, and may have %s descriptors.", o.settle, lineSize, number(float64(limit)))}
	herd := table{title: "Many senders, the receiver starts anew: until all are back",
		head: []string{"senders", "by", "after", "s", "failed attempts", "receiver CPU s"},
		note: "From the signal on. Stopped in order it says GOAWAY with a time for each to come back at; killed, senders come by their back-off."}
	for _, n := range o.senders {
		for _, transport := range o.transports {
			if err := scaleOf(ctx, o, t, n, transport, [3]*table{&idle, &busy, &herd}); err != nil {
				return fmt.Errorf("%d senders by %s: %w", n, transport, err)
			}
			progress("scale: %d senders by %s", n, transport)
		}
	}
	return errors.Join(rep.add(idle), rep.add(busy), rep.add(herd))
}

// raiseDescriptors raises the limit of this process and those that it starts to descriptors, or to what it may, which must
// do for n senders. It returns the limit.
func raiseDescriptors(n int) (uint64, error) {
	want := syscall.Rlimit{Cur: descriptors, Max: descriptors}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want) == nil {
		return want.Cur, nil
	}
	var may syscall.Rlimit // beyond it needs CAP_SYS_RESOURCE
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &may); err != nil {
		return 0, fmt.Errorf("limit of descriptors: %w", err)
	}
	may.Cur = may.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &may); err != nil {
		return 0, fmt.Errorf("raise the limit of descriptors to %d: %w", may.Max, err)
	}
	if least := uint64(n) + 1000; may.Max < least {
		return 0, fmt.Errorf("got %d descriptors at most, want %d for %d senders: raise the hard limit (ulimit -Hn), or ask for fewer by -senders", may.Max, least, n)
	}
	return may.Max, nil
}

func scaleOf(ctx context.Context, o options, t tools, n int, transport string, tabs [3]*table) (err error) {
	c, err := newCrowd(ctx, t, o.disk, n, transport)
	if c != nil {
		defer func() { err = errors.Join(err, c.close()) }()
	}
	if err != nil {
		return err
	}
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

func (c *crowd) idle(ctx context.Context, o options, t *table) error {
	before, err := c.footprint()
	if err != nil {
		return err
	}
	begin := time.Now()
	c.fleet = newFleet(ctx, c.address, c.n, c.certs)
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
	t.add(strconv.Itoa(c.n), c.transport(), number(end.Sub(begin).Seconds()), each(1000*f1.cpu, 1000*before.cpu), each(f.resident, before.resident), each(f.goes, before.goes),
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
	t.add(strconv.Itoa(c.n), c.transport(), number(float64(sent)/took.Seconds()), number(float64(sent)/stored.Seconds()),
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
	t.add(strconv.Itoa(c.n), c.transport(), name, number(end.Sub(begin).Seconds()), strconv.FormatInt(c.fleet.failures.Load()-failed, 10), number(cpu))
	return nil
}
