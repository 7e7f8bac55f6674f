package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// figures are what benchmarks of a package have reported: by name without the processors, and by unit, one value a round.
type figures map[string]map[string][]float64

func (f figures) median(name, unit string) (float64, error) {
	v := f[name][unit]
	if len(v) == 0 {
		return 0, fmt.Errorf("%s has reported no %s", name, unit)
	}
	return median(v), nil
}

// medians are those of one unit of several benchmarks.
func (f figures) medians(unit string, names ...string) ([]float64, error) {
	all := make([]float64, len(names))
	for i, n := range names {
		var err error
		if all[i], err = f.median(n, unit); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// goBench runs benchmarks of a package of this repository, all in turn in every round. Packages are measured by their own
// benchmarks, so that what a figure is of stands beside the code. length is the flag -test.benchtime.
func goBench(ctx context.Context, o options, t tools, dir, pattern, length string) (figures, error) {
	program := filepath.Join(t.dir, filepath.Base(dir)+".test")
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, "./"+dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the benchmarks of %s: %w\n%s", dir, err, out)
	}
	found := figures{}
	for round := range o.rounds {
		cmd := exec.CommandContext(ctx, program, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", length)
		cmd.Dir, cmd.Stderr = dir, os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("benchmarks of %s: %w\n%s", dir, err, out)
		}
		for l := range strings.Lines(string(out)) {
			if err := found.take(l); err != nil {
				return nil, err
			}
		}
		progress("%s: round %d of %d", dir, round+1, o.rounds)
	}
	return found, nil
}

// take adds a line of a benchmark's output: name, repetitions, and pairs of value and unit.
func (f figures) take(line string) error {
	w := strings.Fields(line)
	if len(w) < 4 || !strings.HasPrefix(w[0], "Benchmark") {
		return nil
	}
	name := strings.TrimPrefix(w[0], "Benchmark")
	if n := runtime.GOMAXPROCS(0); n > 1 {
		name = strings.TrimSuffix(name, "-"+strconv.Itoa(n))
	}
	if f[name] == nil {
		f[name] = map[string][]float64{}
	}
	for i := 2; i+1 < len(w); i += 2 {
		v, err := strconv.ParseFloat(w[i], 64)
		if err != nil {
			return fmt.Errorf("benchmark %q: %w", line, err)
		}
		f[name][w[i+1]] = append(f[name][w[i+1]], v)
	}
	return nil
}
