package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/ingest"
	"ftfuse/internal/ledger"
	"ftfuse/internal/metrics"
	"ftfuse/internal/notice"
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

	id        record.SenderID // of this receiver, kept with the marks
	host      string
	instance  [16]byte // of this process, for receivers that it hands on to
	lock      *os.File
	ledger    *ledger.Ledger
	load      Load[config.Receiver]
	ruling    atomic.Pointer[received]
	outputs   sinks
	intake    atomic.Pointer[intake] // nil: there has been no plug-in and no target; set once
	ends      atomic.Pointer[ends]   // nil before the outputs are open
	ingest    *ingest.Server
	door      door
	tunnels   tunnels // to the receivers of targets
	lines     lines
	fed       *destinations // outputs at work, by name
	reloading sync.Mutex    // one reload at a time
	listeners []net.Listener
	listening []string // their addresses
	rates     rates
	tap       tap.Hub // hears what all outputs have taken
	pulses    pulse.Group
}

// RunReceiver runs a receiver until ctx ends, then stops it in order. SIGHUP makes it reload, and open its files anew. load
// is for reloads.
func RunReceiver(ctx context.Context, cfg *config.Receiver, load Load[config.Receiver], p Process) (err error) {
	r := &receiver{cfg: cfg, load: load, log: p.Log, process: p, since: time.Now(), fed: newDestinations()}
	defer func() { err = errors.Join(err, r.close()) }()
	ready, err := r.open()
	if err != nil {
		return err
	}
	sock, err := r.process.Inherited.controlSocket(cfg.Control, r.log)
	if err != nil {
		return err
	}
	parts := newStages()
	parts.start("watchdog", func(ctx context.Context) error { return watchdog(ctx, r.log, &r.pulses) })
	r.startOutputs(ready)
	parts.start("outputs", r.fed.Run)
	parts.start("control", func(ctx context.Context) error { return control.Serve(ctx, sock, r.handlers(), r.log) })
	serveMetrics(parts, r.process.Inherited.metricsSockets(cfg.Metrics.Listen, cfg.Control, r.log), metrics.Receiver, r.status, r.log)
	parts.start("reloading", func(ctx context.Context) error { return onHup(ctx, r.process, told(r.process, r.reload)) })
	parts.start("live status", func(ctx context.Context) error { return live(ctx, r.log, r.status) })
	parts.start("peers", r.keepPeers)
	parts.start("certificates", func(ctx context.Context) error { return watchCertificates(ctx, r.log, r.certificates) })
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

// open opens everything in the order of need, and returns what is to take data from the queue. What it opens is closed by close, also when it
// fails half-way.
func (r *receiver) open() (ready map[string]destination, err error) {
	cfg := r.cfg
	if r.lock, err = lockState(cfg.StateDir); err != nil {
		return nil, err
	}
	var past ledger.Report
	if r.ledger, past, err = ledger.Open(ledger.Options{Dir: r.ledgerDir(), Logger: r.log.With("part", "ledger")}); err != nil {
		return nil, err
	}
	if past.Damage != "" {
		r.log.Error("ledger was damaged: what follows may be delivered twice", notice.LedgerDamaged, "damage", past.Damage, "salvaged", past.Salvaged, "moved_to", past.Quarantine)
	}
	if r.id, err = senderID(cfg.StateDir); err != nil {
		return nil, err
	}
	if r.host, err = os.Hostname(); err != nil {
		return nil, fmt.Errorf("read host name: %w", err)
	}
	rand.Read(r.instance[:]) // never fails (crypto/rand)
	ruling, err := newReceived(cfg)
	if err != nil {
		return nil, err
	}
	r.ruling.Store(ruling)
	if ready, err = r.openOutputs(cfg); err != nil {
		return nil, err
	}
	allowed, err := allowances(cfg.Peers)
	if err != nil {
		return nil, err
	}
	if err := r.door.open(cfg.TLS); err != nil {
		return nil, err
	}
	l := cfg.Limits
	r.ingest, err = ingest.New(ingest.Options{
		ID: r.id, Name: r.host, Relay: func() bool { return len(r.ruling.Load().cfg.Targets) > 0 }, End: answering{r}, Output: tappedOutputs{&r.outputs, &r.tap}, Logger: r.log.With("part", "ingest"), Pulses: &r.pulses, Connections: l.Connections, PerAddress: l.PerAddress,
		Memory: int64(l.Memory), HandshakeTimeout: l.HandshakeTimeout, IdleTimeout: l.IdleTimeout, WriteTimeout: l.WriteTimeout,
		Secure: r.door.option(),
	})
	if err != nil {
		return nil, err
	}
	if err := r.restoreUsage(); err != nil {
		return nil, err
	}
	r.ingest.SetPeers(allowed)
	if r.listeners, err = r.process.Inherited.listen(cfg.Listen); err != nil {
		return nil, err
	}
	r.listening = names(r.listeners)
	return ready, reachable(r.listeners, cfg)
}

// openOutputs opens what is written before it is acknowledged, and makes what takes data from the queue.
func (r *receiver) openOutputs(cfg *config.Receiver) (ready map[string]destination, err error) {
	err = r.outputs.exchange(func(list []namedSink) ([]namedSink, error) {
		if needsQueue(cfg) {
			if err := r.wantIntake(); err != nil {
				return list, err
			}
		}
		if err := r.enrol(cfg); err != nil {
			return list, err
		}
		for _, c := range cfg.Outputs {
			if c.Type == "plugin" {
				continue
			}
			o, err := r.openSink(c)
			if err != nil {
				return list, err
			}
			list = append(list, namedSink{c.Name, o})
		}
		if needsQueue(cfg) {
			list = append(list, namedSink{"", r.intake.Load()})
		}
		return list, r.retire(cfg)
	})
	if err != nil {
		return nil, err
	}
	plugins, err := r.newPlugins(cfg)
	if err != nil {
		return nil, err
	}
	targets, err := r.newTargets(cfg.Targets)
	if err != nil {
		return nil, err
	}
	maps.Copy(plugins, targets)
	return plugins, r.setEnds(cfg)
}

// openSink opens an output to files or to the journal.
func (r *receiver) openSink(c config.Output) (sink, error) {
	o, err := openOutput(c, outputParts{book: r.ledger.Book(c.Name), log: r.log.With("part", "output", "output", c.Name), pulses: &r.pulses, view: r.view(c.Name),
		files: openFiles(r.log, r.cfg.Limits.Connections, len(r.ruling.Load().cfg.Outputs))})
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", c.Name, err)
	}
	return o, nil
}

// newPlugins makes the plug-ins of a configuration.
func (r *receiver) newPlugins(cfg *config.Receiver) (map[string]destination, error) {
	all := map[string]destination{}
	for _, c := range cfg.Outputs {
		if c.Type != "plugin" {
			continue
		}
		var err error
		if all[c.Name], err = r.newPlugin(cfg, c); err != nil {
			return nil, fmt.Errorf("output %s: %w", c.Name, err)
		}
	}
	return all, nil
}

// wantIntake opens the queue of plug-ins and targets if it is not open yet.
func (r *receiver) wantIntake() error {
	if r.intake.Load() != nil {
		return nil
	}
	opened, err := r.openIntake()
	if err != nil {
		return err
	}
	r.intake.Store(opened)
	return r.adopt()
}

// newPlugin makes the plug-in c of cfg, which takes what waits at its cursor.
func (r *receiver) newPlugin(cfg *config.Receiver, c config.Output) (destination, error) {
	cur, err := r.intake.Load().Cursor(c.Name)
	if err != nil {
		return nil, err
	}
	return newFed(c, pluginParts{cursor: cur, store: inline{}, host: r.host, fields: receiverFields(cfg, c.Name), view: r.view(c.Name), log: r.log, pulses: &r.pulses})
}

// inline is the store of a queue whose payload lies in its entries.
type inline struct{}

func (inline) ReadExtent(e record.Extent, _ []byte) error {
	return fmt.Errorf("read spool %d: a receiver has none: %w", e.Spool, record.ErrGone)
}

// startOutputs starts what the outputs do by themselves, and what takes data from the queue.
func (r *receiver) startOutputs(ready map[string]destination) {
	for _, o := range r.outputs.all() {
		r.fed.start(o.name, housekeeping{o.sink})
	}
	for name, d := range ready {
		r.fed.start(name, d)
	}
}

// housekeeping is the part of an output that needs no data: rotation, or the commits of a queue.
type housekeeping struct{ sink }

func (h housekeeping) run(ctx context.Context) error { return h.Run(ctx) }

func (r *receiver) close() error {
	var err error
	for _, l := range r.listeners {
		err = errors.Join(err, l.Close())
	}
	err = errors.Join(err, r.process.Inherited.close(), r.outputs.close())
	if r.intake.Load() != nil { // it is not among the outputs when a reload or the start failed
		err = errors.Join(err, r.intake.Load().Close())
	}
	if r.ingest != nil {
		err = errors.Join(err, r.saveUsage())
	}
	if r.ledger != nil {
		err = errors.Join(err, r.ledger.Close())
	}
	if r.lock != nil {
		err = errors.Join(err, r.lock.Close())
	}
	return err
}
