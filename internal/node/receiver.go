package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/ingest"
	"ftfuse/internal/ledger"
	"ftfuse/internal/metrics"
	"ftfuse/internal/notice"
	"ftfuse/internal/output"
	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
	"ftfuse/internal/tap"
)

// receiver is a running receiver: what peers send goes from ingest to the outputs, each with its marks in the ledger.
type receiver struct {
	cfg     *config.Receiver
	log     *slog.Logger
	process Process
	since   time.Time

	lock      *os.File
	ledger    *ledger.Ledger
	outputs   outputs
	ingest    *ingest.Server
	listeners []net.Listener
	listening []string // their addresses
	rates     rates
	tap       tap.Hub // hears what all outputs have taken
	pulses    pulse.Group
}

type outputs []sink

// sink is one output, to files or to the journal.
type sink interface {
	record.Sink
	Mark(record.Stream) record.Durable
	Run(context.Context) error
	Reopen()
	Stats() output.Stats
	Close() error
}

// Put hands chunks to every output. It succeeds when all have taken them; one that has them already drops them by
// its own marks.
func (o outputs) Put(ctx context.Context, chunks []record.Chunk) error {
	var err error
	for _, out := range o {
		err = errors.Join(err, out.Put(ctx, chunks))
	}
	return err
}

// Mark returns how far every output holds a stream.
func (o outputs) Mark(_ context.Context, s record.Stream) (record.Durable, error) {
	low := o[0].Mark(s)
	for _, out := range o[1:] {
		if m := out.Mark(s); m.Seq < low.Seq {
			low = m
		}
	}
	return low, nil
}

// RunReceiver runs a receiver until ctx ends, then stops it in order. SIGHUP makes it close and reopen the output files.
func RunReceiver(ctx context.Context, cfg *config.Receiver, p Process) (err error) {
	r := &receiver{cfg: cfg, log: p.Log, process: p, since: time.Now()}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.open(); err != nil {
		return err
	}
	sock, err := r.process.Inherited.controlSocket(cfg.Control, r.log)
	if err != nil {
		return err
	}
	parts := newStages()
	parts.start("watchdog", func(ctx context.Context) error { return watchdog(ctx, r.log, &r.pulses) })
	for i, o := range r.outputs {
		parts.start("output "+cfg.Outputs[i].Name, o.Run)
	}
	parts.start("control", func(ctx context.Context) error { return control.Serve(ctx, sock, r.handlers(), r.log) })
	serveMetrics(parts, r.process.Inherited.metricsSockets(cfg.Metrics.Listen, cfg.Control, r.log), metrics.Receiver, r.status, r.log)
	parts.start("reopening", r.reopen)
	parts.start("live status", func(ctx context.Context) error { return live(ctx, r.log, r.status) })
	for _, l := range r.listeners {
		parts.start("listen "+l.Addr().String(), func(ctx context.Context) error { return r.ingest.Serve(ctx, l) })
	}
	r.listeners = nil // Serve closes them
	r.log.Info("serving", "listen", r.listening)
	r.process.Ready()
	parts.wait(ctx)
	return parts.stop()
}

func (r *receiver) ledgerDir() string { return filepath.Join(r.cfg.StateDir, "ledger") }

func (r *receiver) open() error {
	cfg := r.cfg
	var err error
	if r.lock, err = lockState(cfg.StateDir); err != nil {
		return err
	}
	var past ledger.Report
	if r.ledger, past, err = ledger.Open(ledger.Options{Dir: r.ledgerDir(), Logger: r.log.With("part", "ledger")}); err != nil {
		return err
	}
	if past.Damage != "" {
		r.log.Error("ledger was damaged: what follows may be delivered twice", notice.LedgerDamaged, "damage", past.Damage, "salvaged", past.Salvaged, "moved_to", past.Quarantine)
	}
	for _, c := range cfg.Outputs {
		o, err := r.openOutput(c)
		if err != nil {
			return fmt.Errorf("output %s: %w", c.Name, err)
		}
		r.outputs = append(r.outputs, o)
	}
	l := cfg.Limits
	r.ingest, err = ingest.New(ingest.Options{
		Output: tappedOutputs{r.outputs, &r.tap}, Logger: r.log.With("part", "ingest"), Pulses: &r.pulses, Connections: l.Connections, PerAddress: l.PerAddress,
		Memory: int64(l.Memory), HandshakeTimeout: l.HandshakeTimeout, IdleTimeout: l.IdleTimeout, WriteTimeout: l.WriteTimeout,
	})
	if err != nil {
		return err
	}
	if r.listeners, err = r.process.Inherited.listen(cfg.Listen); err != nil {
		return err
	}
	r.listening = names(r.listeners)
	return nil
}

func (r *receiver) openOutput(c config.Output) (sink, error) {
	log := r.log.With("part", "output", "output", c.Name)
	if c.Type == "journal" {
		return output.OpenJournal(output.JournalOptions{Name: c.Name, Identifier: c.Identifier, Book: r.ledger.Book(c.Name), Pulses: &r.pulses}), nil
	}
	zone, err := config.Zone(c.TimeZone)
	if err != nil {
		return nil, err
	}
	return output.Open(output.Options{
		Name: c.Name, Base: c.Base, Path: c.Path, Format: c.Format, Template: c.Template, TimeFormat: c.TimeFormat, Location: zone,
		Rotate:   output.Rotate{Size: int64(c.Rotate.Size), Age: c.Rotate.Age, Keep: c.Rotate.Keep, KeepAge: c.Rotate.KeepAge, Compress: c.Rotate.Compress},
		FileMode: os.FileMode(c.FileMode), DirMode: os.FileMode(c.DirMode), Disk: c.Durability == "disk",
		Book: r.ledger.Book(c.Name), Logger: log, Pulses: &r.pulses,
	})
}

func (r *receiver) close() error {
	var err error
	for _, l := range r.listeners {
		err = errors.Join(err, l.Close())
	}
	err = errors.Join(err, r.process.Inherited.close())
	for _, o := range r.outputs {
		err = errors.Join(err, o.Close())
	}
	if r.ledger != nil {
		err = errors.Join(err, r.ledger.Close())
	}
	if r.lock != nil {
		err = errors.Join(err, r.lock.Close())
	}
	return err
}
