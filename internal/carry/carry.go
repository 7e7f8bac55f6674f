// Package carry takes files and standard input to a receiver when somebody says so, each byte once.
//
// A file is a stream of its own: the sender id is kept in a folder, the epoch is made of the file's identity (device, inode, birth),
// of how it begins and of the names that it travels under. A chunk's sequence is where it ends in the file. So the
// receiver's mark says up to where it holds the file, and whoever sends again goes on there.
//
// Chunks are cut by the bytes alone, from a cut on: behind the last LF of the next record.MaxChunk bytes, or, of a longer
// line, there. The end of the file as it was found is a cut too, and is written down before anything is sent: who was
// killed cuts the same chunks again, and the receiver's checksum of them (record.Chain) shows that they are the same. What was
// acknowledged is held against a checksum of the file's bytes before more is sent.
package carry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ftfuse/internal/probe"
	"ftfuse/internal/record"
	"ftfuse/internal/uplink"
	"ftfuse/internal/wire"
)

// The ways to fail that a person can do something about. Errors wrap them.
var (
	ErrChanged = errors.New("not what was sent before") // the file, or what the receiver holds of it
	ErrBusy    = errors.New("another send of it runs")
	ErrStalled = errors.New("no acknowledgement")
)

// Refused is an answer of the receiver, or of the way to it, that ended the sending.
type Refused struct{ Step probe.Step }

func (r *Refused) Error() string { return r.Step.Name + ": " + r.Step.Text }

// As is what chunks travel under.
type As struct {
	Host, Mount, Path, Rule string
	Unit                    record.Unit // Line or Binary
}

// Options say where to and how. Zero values of numbers take the defaults in brackets.
type Options struct {
	Folder   *Folder
	To       probe.Way
	Name     string // of the receiver, for people, and for the folder where the receiver does not say who it is
	BootID   string
	Codec    wire.Codec
	Level    int
	Window   int64                   // bytes under way [16 MiB]
	Again    bool                    // begin anew, whatever was sent before
	Stall    time.Duration           // without progress before it is given up [1 min]
	Progress func(done, total int64) // is told of bytes that the receiver has, total -1: not known [nobody]
	Warn     func(text string)       // is told of what is odd and no error [nobody]
	Logger   *slog.Logger            // of the connection [none]
}

// Result says what became of a source.
type Result struct {
	Sent, Records uint64 // bytes and records that were acknowledged now
	Had           uint64 // bytes that the receiver had before
	Later         int64  // bytes that came to the file meanwhile, and were not sent
	Took          time.Duration
}

func (o *Options) complete() error {
	if o.Folder == nil || o.To.Address == "" {
		return fmt.Errorf("carry: got no folder or receiver, want both")
	}
	if o.Window == 0 {
		o.Window = 16 << 20
	}
	if o.Stall == 0 {
		o.Stall = time.Minute
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// goods is a backlog that comes to an end.
type goods interface {
	record.Backlog
	done() <-chan struct{}       // closed when all of it is acknowledged
	fault() error                // why it cannot go on, nil otherwise
	standing() (int64, int64)    // bytes that the receiver has, and of all, -1: not known
	waiting() bool               // everything that there is was handed over and acknowledged: more may come
	stream() record.Stream       // that its chunks are of
	instance() (random [16]byte) // of HELLO
}

// ask learns who the receiver is and how far it holds streams.
func (o *Options) ask(ctx context.Context, host string, streams ...record.Stream) (*probe.Report, error) {
	r := probe.Run(ctx, probe.Options{Way: o.To, Streams: streams, Host: host})
	if s := r.Failure(); s != nil {
		return nil, &Refused{*s}
	}
	return r, ctx.Err()
}

// deliver sends g and waits for the last acknowledgement.
func (o *Options) deliver(ctx context.Context, g goods, host string) (uplink.Status, error) {
	up, err := uplink.New(uplink.Options{
		Backlog: g, Store: nowhere{}, Dial: o.To.Dial, Epoch: func() uint64 { return g.stream().Epoch },
		Identity: uplink.Identity{Sender: g.stream().Sender, Host: host, BootID: o.BootID, Instance: g.instance()},
		Codec:    o.Codec, Level: o.Level, Window: o.Window, Logger: o.Logger,
		BackOffMax: 2 * time.Second, StopTimeout: time.Second,
	})
	if err != nil {
		return uplink.Status{}, err
	}
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- up.Run(run) }()
	err = o.watch(ctx, g, up, ended)
	stop()
	if err == nil || !errors.Is(err, record.ErrClosed) { // else Run has ended
		<-ended
	}
	if fault := g.fault(); fault != nil {
		err = fault
	}
	return up.Status(), err
}

// watch waits until g is done, the uplink gives up, or nothing has moved for too long.
func (o *Options) watch(ctx context.Context, g goods, up *uplink.Uplink, ended <-chan error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	moved := time.Now()
	for last := int64(-1); ; {
		select {
		case <-g.done():
			return nil
		case err := <-ended:
			if err == nil {
				err = ctx.Err()
			}
			return fmt.Errorf("%w: %w", err, record.ErrClosed)
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			at, total := g.standing()
			o.Progress(at, total)
			if passed := at + int64(up.Status().SkippedBytes); passed != last || g.waiting() {
				last, moved = passed, now
			}
			if now.Sub(moved) > o.Stall {
				why := up.Status().LastError
				if why == "" {
					why = "the receiver is connected and does not store what it got"
				}
				return fmt.Errorf("%w for %v: %s", ErrStalled, o.Stall, why)
			}
		}
	}
}

// nowhere is the store of chunks that bring their payload.
type nowhere struct{}

func (nowhere) ReadExtent(e record.Extent, _ []byte) error {
	return fmt.Errorf("read extent %+v: %w", e, record.ErrGone)
}
