package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// subject is one file system under the writer.
type subject struct {
	name  string
	mount string // of the rig; "" is nobody's
	dir   string
}

// writeCost measures nanoseconds per write(2), all file systems in turn in every round.
func writeCost(ctx context.Context, o options, t tools, rep *report) (err error) {
	base, err := os.MkdirTemp(o.disk, "ftfuse-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	plain, null := filepath.Join(base, "plain"), filepath.Join(base, "null")
	if err := errors.Join(os.Mkdir(plain, 0o755), os.Mkdir(null, 0o755)); err != nil {
		return err
	}
	server, err := launch("nullfs", filepath.Join(base, "null.log"), t.nullfs, null)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, server.end())
		detach(null)
	}()
	if err := server.await(ctx, startLimit, "mount", func() bool { return mounted(null) }); err != nil {
		return err
	}
	r, err := newRig(ctx, t, base, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	return costs(ctx, o, t, rep, r, []subject{
		{"plain file", "", plain},
		{"open capture", openMount, r.path(openMount)},
		{"write capture", writeMount, r.path(writeMount)},
		{"empty go-fuse", "", null},
	})
}

// costs runs the rounds and adds the table.
func costs(ctx context.Context, o options, t tools, rep *report, r *rig, subjects []subject) error {
	type key struct{ writers, size, subject int }
	found := map[key][]float64{}
	run := 0
	for round := range o.rounds {
		for _, w := range o.writers {
			for _, size := range o.sizes {
				for i, s := range subjects {
					run++
					ns, err := burst(ctx, o, t, r, s, fmt.Sprintf("run%d.log", run), size, w)
					if err != nil {
						return fmt.Errorf("%s, %d B, %d writers: %w", s.name, size, w, err)
					}
					found[key{w, size, i}] = append(found[key{w, size, i}], ns)
				}
			}
		}
		progress("write cost: round %d of %d", round+1, o.rounds)
	}
	tab := table{
		title: "Nanoseconds per write(2), each writer with a file of its own",
		head:  []string{"writers", "bytes", "plain file", "open capture", "x plain", "write capture", "empty go-fuse", "x its rate"},
	}
	for _, w := range o.writers {
		for _, size := range o.sizes {
			m := make([]float64, len(subjects))
			for i := range subjects {
				m[i] = median(found[key{w, size, i}])
			}
			tab.add(strconv.Itoa(w), strconv.Itoa(size), number(m[0]), number(m[1]), fmt.Sprintf("%.2f", m[1]/m[0]), number(m[2]),
				number(m[3]), fmt.Sprintf("%.2f", m[3]/m[2]))
		}
	}
	tab.note = fmt.Sprintf("Medians of %d rounds of %v each, the file systems in turn; sender and receiver deliver meanwhile, and all "+
		"has arrived before the next run. Goals: open capture at most 1.6 x plain with one writer, 2 x with four; write capture "+
		"at least 0.9 x the empty one's rate.", o.rounds, o.burst)
	return rep.add(tab)
}

// burst lets the writers write for a while and returns nanoseconds per write, the mean over the writers. What went into
// a mount of the rig must arrive unchanged before it returns.
func burst(ctx context.Context, o options, t tools, r *rig, s subject, name string, size, writers int) (float64, error) {
	results, err := writer(ctx, t, filepath.Join(s.dir, name), size, "t", int(o.burst/time.Millisecond), writers)
	if err != nil {
		return 0, err
	}
	var sum float64
	for i, res := range results {
		sum += res.ns / float64(res.lines)
		file := name
		if writers > 1 {
			file += "." + strconv.Itoa(i)
		}
		if s.mount == "" {
			_ = os.Remove(filepath.Join(s.dir, file)) // the empty file system has none
			continue
		}
		if _, err := r.arrived(ctx, file, int64(size)*int64(res.lines)); err != nil {
			return 0, err
		}
		if err := verify(r.path(outputDir, file), size, res.lines); err != nil {
			return 0, err
		}
		if err := r.forget(s.mount, file); err != nil {
			return 0, err
		}
	}
	return sum / float64(len(results)), nil
}

// result is what one process of the writer did.
type result struct {
	lines int
	ns    float64
}

// writer runs scripts/bench/writer.c.
func writer(ctx context.Context, t tools, path string, size int, by string, amount, writers int) ([]result, error) {
	cmd := exec.CommandContext(ctx, t.writer, path, strconv.Itoa(size), by, strconv.Itoa(amount), strconv.Itoa(writers))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("writer: %w", err)
	}
	var all []result
	for l := range strings.Lines(string(out)) {
		var res result
		if _, err := fmt.Sscan(l, &res.lines, &res.ns); err != nil {
			return nil, fmt.Errorf("writer: %q: %w", l, err)
		}
		all = append(all, res)
	}
	if len(all) != writers {
		return nil, fmt.Errorf("writer: got %d results, want %d", len(all), writers)
	}
	return all, nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
