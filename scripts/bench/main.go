// Command bench measures what writing through ftfuse costs and how fast lines arrive, and checks that they arrived unchanged.
//
// It builds the C writer and the reference file system that it needs, runs bin/ftfuse as sender and receiver in
// folders of its own, and prints tables. It needs root, gcc, and a first `make build`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// options are the flags.
type options struct {
	program    string // bin/ftfuse
	disk       string // folder on the disk
	memory     string // folder on a tmpfs
	rounds     int
	sizes      []int
	writers    []int
	burst      time.Duration // length of one run of the writer
	each       time.Duration // length of one run of a benchmark of a package
	bytes      int64         // moved in one run end to end
	lines      int           // at most, in one run of one write per line
	backlog    int64
	senders    []int
	transports []string      // how simulated senders are connected: plain, TLS
	settle     time.Duration // how long idle senders are watched
	only       string        // parts, by their first letters
	write      string
}

func parse(args []string) (options, error) {
	o := options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.program, "ftfuse", "bin/ftfuse", "the program to measure")
	f.StringVar(&o.disk, "disk", os.TempDir(), "a folder on the disk to measure")
	f.StringVar(&o.memory, "memory", "/dev/shm", "a folder on a tmpfs")
	f.IntVar(&o.rounds, "rounds", 5, "rounds; the median is shown")
	sizes := f.String("sizes", "10,128,1024,4096", "line lengths in bytes, line end included")
	writers := f.String("writers", "1,4", "numbers of writers")
	f.DurationVar(&o.burst, "burst", 300*time.Millisecond, "how long one run of the writer takes")
	f.DurationVar(&o.each, "each", 300*time.Millisecond, "how long one run of a benchmark of filters, formats and pipes takes")
	f.Int64Var(&o.bytes, "bytes", 512<<20, "bytes of one run end to end")
	f.IntVar(&o.lines, "lines", 2_000_000, "lines of one run with one write per line, at most")
	f.Int64Var(&o.backlog, "backlog", 1<<30, "bytes that wait while the receiver is away")
	f.StringVar(&o.only, "only", "write,transfer,backlog,filters,formats,pipe,compression,rules,scale", "parts to run")
	senders := f.String("senders", "1000,10000", "numbers of simulated senders")
	transports := f.String("transports", byPlain+","+byTLS, "how simulated senders are connected")
	f.DurationVar(&o.settle, "settle", 30*time.Second, "how long idle simulated senders are watched, and busy ones too")
	quick := f.Bool("quick", false, "a small run, to see that all works: what other options do not set is "+quickly)
	f.StringVar(&o.write, "write", "", "a markdown file whose part between the bench marks is replaced")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *quick {
		if err := hurry(f); err != nil {
			return o, err
		}
	}
	var err error
	if o.sizes, err = numbers(*sizes); err != nil {
		return o, err
	}
	if o.senders, err = numbers(*senders); err != nil {
		return o, err
	}
	if o.transports, err = oneOrBoth(*transports); err != nil {
		return o, err
	}
	o.writers, err = numbers(*writers)
	return o, err
}

func oneOrBoth(s string) ([]string, error) {
	all := strings.Split(s, ",")
	for _, w := range all {
		if w != byPlain && w != byTLS {
			return nil, fmt.Errorf("-transports: got %q, want %s, %s or both with a comma between them", s, byPlain, byTLS)
		}
	}
	return all, nil
}

// quickly are the options of a quick run.
const quickly = "-rounds=2 -sizes=128,4096 -burst=100ms -each=50ms -bytes=67108864 -lines=200000 -backlog=134217728 -senders=1000 -settle=5s"

// hurry sets the options of a quick run, but for those that were given.
func hurry(f *flag.FlagSet) error {
	given := map[string]bool{}
	f.Visit(func(g *flag.Flag) { given[g.Name] = true })
	for _, w := range strings.Fields(quickly) {
		name, value, _ := strings.Cut(strings.TrimPrefix(w, "-"), "=")
		if given[name] {
			continue
		}
		if err := f.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

func numbers(s string) ([]int, error) {
	var all []int
	for _, w := range strings.Split(s, ",") {
		n, err := strconv.Atoi(w)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q: want numbers with commas between them", s)
		}
		all = append(all, n)
	}
	return all, nil
}

func run(args []string) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil && os.Getuid() != 0 {
		err = errors.New("mounting needs root: run it with sudo")
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		err = measure(ctx, o)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: error: %v\n", err)
		return 1
	}
	return 0
}

// tools are the programs that a measurement starts.
type tools struct {
	ftfuse, writer, nullfs string
	dir                    string // for more of them
}

// measure runs the wanted parts and prints each table as soon as it is known.
func measure(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "ftfuse-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t, err := build(ctx, o, dir)
	if err != nil {
		return err
	}
	rep := report{conditions: conditions(ctx, o, t.ftfuse)}
	fmt.Println(strings.Join(rep.conditions, "\n"))
	for _, part := range []struct {
		name string
		run  func(context.Context, options, tools, *report) error
	}{{"write", writeCost}, {"transfer", transfer}, {"backlog", backlog}, {"filters", filters}, {"formats", formats},
		{"pipe", pipes}, {"compression", compression}, {"rules", ruleCost},
		{"scale", scale}} {
		if !strings.Contains(o.only, part.name) {
			continue
		}
		if err := part.run(ctx, o, t, &rep); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if o.write == "" {
		return nil
	}
	return rep.keep(o.write)
}

// build compiles the writer and the reference file system.
func build(ctx context.Context, o options, dir string) (tools, error) {
	t := tools{o.program, filepath.Join(dir, "writer"), filepath.Join(dir, "nullfs"), dir}
	for _, c := range [][]string{
		{"gcc", "-O2", "-o", t.writer, "scripts/bench/writer.c"},
		{"go", "build", "-o", t.nullfs, "./scripts/bench/nullfs"},
	} {
		if out, err := exec.CommandContext(ctx, c[0], c[1:]...).CombinedOutput(); err != nil {
			return t, fmt.Errorf("%s: %w\n%s", strings.Join(c, " "), err, out)
		}
	}
	path, err := filepath.Abs(t.ftfuse)
	if err != nil {
		return t, err
	}
	if _, err := os.Stat(path); err != nil {
		return t, fmt.Errorf("%w (hint: make build)", err)
	}
	t.ftfuse = path
	return t, nil
}
