package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// way is how a program writes the lines.
type way struct {
	name  string
	start func(ctx context.Context, t tools, from, to string, size, count int) error
}

var ways = []way{
	{"cat >>", func(ctx context.Context, _ tools, from, to string, _, _ int) error {
		return cat(ctx, from, to, os.O_APPEND)
	}},
	{"cat >", func(ctx context.Context, _ tools, from, to string, _, _ int) error {
		return cat(ctx, from, to, os.O_TRUNC)
	}},
	{"write(2) a line", func(ctx context.Context, t tools, _, to string, size, count int) error {
		_, err := writer(ctx, t, to, size, "n", count, 1)
		return err
	}},
}

// cat is what a shell does for `cat from >to` and `cat from >>to`.
func cat(ctx context.Context, from, to string, how int) error {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|how, 0o644)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "cat", from)
	cmd.Stdout, cmd.Stderr = f, os.Stderr
	return errors.Join(cmd.Run(), f.Close())
}

// transfer measures from the first write to the last byte in the receiver's file, on the tmpfs and on the disk.
func transfer(ctx context.Context, o options, t tools, rep *report) error {
	speed := table{
		title: "End to end into one file: one sender, one receiver, format raw",
		head:  []string{"spool and output", "written by", "bytes", "lines/s", "MB/s", "sender CPU s/GB", "receiver CPU s/GB"},
		note: fmt.Sprintf("Medians of %d runs of up to %d MiB, from the first write to the last byte in the receiver's file, which is "+
			"then compared. CPU is that of the two daemons. Goals: 400 MB/s by cat on tmpfs; 1,000,000 lines/s of 10 to 128 bytes "+
			"by one write(2) each.", o.rounds, o.bytes>>20),
	}
	memory := table{title: "Peak resident memory over the runs above, MiB", head: []string{"spool and output", "sender", "anonymous at the end",
		"receiver", "anonymous at the end"}}
	for _, place := range []struct{ name, dir string }{{"tmpfs", o.memory}, {"disk", o.disk}} {
		if err := transferAt(ctx, o, t, place.name, place.dir, &speed, &memory); err != nil {
			return fmt.Errorf("%s: %w", place.name, err)
		}
	}
	return errors.Join(rep.add(speed), rep.add(memory))
}

func transferAt(ctx context.Context, o options, t tools, place, dir string, speed, memory *table) (err error) {
	r, err := newRig(ctx, t, dir, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	from, err := os.MkdirTemp(o.memory, "ftfuse-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(from)
	for _, size := range o.sizes {
		count := int(o.bytes) / size
		file := filepath.Join(from, strconv.Itoa(size))
		if err := source(file, size, count); err != nil {
			return err
		}
		for _, w := range ways {
			n := count
			if w.name == "write(2) a line" {
				n = min(n, o.lines)
			}
			row, err := moves(ctx, o, r, w, file, size, n)
			if err != nil {
				return fmt.Errorf("%s, %d B: %w", w.name, size, err)
			}
			speed.add(append([]string{place, w.name, strconv.Itoa(size)}, row...)...)
			progress("end to end: %s, %s, %d B", place, w.name, size)
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return r.memoryRow(place, memory)
}

// moves repeats one run and returns the medians: lines/s, MB/s, CPU seconds per GB of both sides.
func moves(ctx context.Context, o options, r *rig, w way, from string, size, count int) ([]string, error) {
	var seconds, sender, receiver []float64
	gb := float64(size) * float64(count) / 1e9
	for i := range o.rounds {
		name := fmt.Sprintf("%d-%d.log", size, i)
		s1, r1, err := r.cpu()
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := w.start(ctx, r.tools, from, r.path(autoMount, name), size, count); err != nil {
			return nil, err
		}
		end, err := r.arrived(ctx, name, int64(size)*int64(count))
		if err != nil {
			return nil, err
		}
		s2, r2, err := r.cpu()
		if err != nil {
			return nil, err
		}
		seconds = append(seconds, end.Sub(begin).Seconds())
		sender, receiver = append(sender, (s2-s1)/gb), append(receiver, (r2-r1)/gb)
		if err := errors.Join(verify(r.path(outputDir, name), size, count), r.forget(autoMount, name)); err != nil {
			return nil, err
		}
	}
	s := median(seconds)
	return []string{number(float64(count) / s), number(gb * 1e3 / s), fmt.Sprintf("%.2f", median(sender)), fmt.Sprintf("%.2f", median(receiver))}, nil
}

func (r *rig) memoryRow(name string, t *table) error {
	row := []string{name}
	for _, p := range []*process{r.sender, r.receiver} {
		peak, anonymous, err := p.memory()
		if err != nil {
			return err
		}
		row = append(row, number(peak), number(anonymous))
	}
	t.add(row...)
	return nil
}

// backlog lets data wait while the receiver is away, and measures memory, how fast it drains afterwards, and how long a
// line waits that is written when it has begun to.
func backlog(ctx context.Context, o options, t tools, rep *report) error {
	tab := table{
		title: fmt.Sprintf("A backlog of %d MiB on the disk", o.backlog>>20),
		head:  []string{"", "sender peak MiB", "anonymous", "receiver peak MiB", "anonymous", "MB/s", "a new line, s"},
		note: "While the receiver is away the rate is the writing program's; then it is that of delivery, its start and the sender's back-off included. " +
			"The last column is how long a line takes to its output that is written when the first of the backlog has arrived.",
	}
	for _, order := range []string{"fifo", "fresh-first"} {
		if err := drain(ctx, o, t, order, &tab); err != nil {
			return fmt.Errorf("order %s: %w", order, err)
		}
	}
	return rep.add(tab)
}

// drain adds the rows of one order.
func drain(ctx context.Context, o options, t tools, order string, tab *table) (err error) {
	r, err := newRigWith(ctx, t, o.disk, fmt.Sprintf("queue: {max_size: %d}\n", 2*o.backlog+1<<30), ", order: "+order)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	const size = 128
	count := int(o.backlog) / size
	file := r.path("source")
	if err := errors.Join(source(file, size, count), r.stopReceiver(), r.sender.fresh()); err != nil {
		return err
	}
	begin := time.Now()
	if err := cat(ctx, file, r.path(autoMount, "backlog.log"), os.O_APPEND); err != nil {
		return err
	}
	wrote := time.Since(begin)
	peak, anonymous, err := r.sender.memory()
	if err != nil {
		return err
	}
	begin = time.Now()
	if err := r.startReceiver(ctx); err != nil {
		return err
	}
	line, err := r.newLine(ctx)
	if err != nil {
		return err
	}
	end, err := r.arrived(ctx, "backlog.log", int64(size)*int64(count))
	if err != nil {
		return err
	}
	if err := verify(r.path(outputDir, "backlog.log"), size, count); err != nil {
		return err
	}
	mb := float64(o.backlog) / 1e6
	if len(tab.rows) == 0 {
		tab.add("receiver away", number(peak), number(anonymous), "", "", number(mb/wrote.Seconds()), "")
	}
	drained := table{}
	if err := r.memoryRow("delivered, "+order, &drained); err != nil {
		return err
	}
	tab.add(append(drained.rows[0], number(mb/end.Sub(begin).Seconds()), number(line.Seconds()))...)
	return nil
}

// newLine writes a line when the backlog begins to arrive, and returns how long it takes.
func (r *rig) newLine(ctx context.Context) (time.Duration, error) {
	if _, err := r.arrived(ctx, "backlog.log", 1); err != nil {
		return 0, err
	}
	const text = "a line that is written now\n"
	begin := time.Now()
	f, err := os.OpenFile(r.path(autoMount, "new.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return 0, err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	end, err := r.arrived(ctx, "new.log", int64(len(text)))
	return end.Sub(begin), err
}
