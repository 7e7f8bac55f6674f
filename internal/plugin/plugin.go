// Package plugin feeds records to child processes, on their standard input, from a cursor of the queue.
//
// A plug-in is started, fed, listened to and, when it ends by itself, started again after a pause that grows. What it is
// given comes from a record.Backlog, in order; when it is slow, away or broken, only that cursor waits. How far a position
// is given back as delivered:
//
//   - Without acknowledgements a batch counts as delivered when the child has read all its bytes out of the pipe: the kernel
//     tells how many are unread (FIONREAD). What was unread when the child died is given to its successor, from the record on
//     that had not been read as a whole. What it had read and may not have finished is lost, and counted as uncertain: see
//     Stats.Uncertain.
//   - With acknowledgements a batch counts as delivered when the child has said so on its descriptor 3. After its death
//     everything that it has not said so of comes again.
//
// docs/plugins.md is for people who write plug-ins.
package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"ftfuse/internal/notice"
	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
)

// Plugin is one plug-in: at any time at most one child process. Run does everything; Stats may be called at any time.
type Plugin struct {
	o     Options
	log   *slog.Logger
	voice *voice
	file  *outFile // nil unless stdout goes to a file
	pulse *pulse.Pulse
	stats counters

	back resume // of the life that ended last; used by Run and, while it waits for them, by the goroutines of a life

	mu    sync.Mutex // guards track
	track *tracker   // of the life now, or the last one; nil before the first
}

// New checks o. It starts nothing.
func New(o Options) (*Plugin, error) {
	o, err := o.filled()
	if err != nil {
		return nil, fmt.Errorf("plug-in %q: %w", o.Name, err)
	}
	p := &Plugin{o: o, log: o.Logger.With("output", o.Name)}
	p.voice = newVoice(&p.o, &p.stats)
	if o.Stdout == File {
		p.file = &outFile{name: o.StdoutFile}
	}
	p.stats.state.Store(int32(Stopped))
	return p, nil
}

// Run keeps the plug-in running until ctx ends, and then stops it in order: its standard input is closed, it has
// Options.StopTimeout to finish, then it is told by SIGTERM and a second later killed. It is called once. It returns nil after
// ctx has ended, or the error with which the backlog ended.
func (p *Plugin) Run(ctx context.Context) error {
	p.pulse = p.o.Pulses.Join("plug-in " + p.o.Name) // not in New: what a refused reload has made is never run
	defer p.o.Pulses.Leave(p.pulse)
	defer p.stats.state.Store(int32(Stopped))
	defer p.voice.close()
	defer p.file.close()
	for failed := 0; ; {
		p.stats.state.Store(int32(Starting))
		began := time.Now()
		end, err := p.live(ctx)
		ran := time.Since(began)
		if err != nil {
			return fmt.Errorf("plug-in %s: %w", p.o.Name, err)
		}
		if ctx.Err() != nil {
			p.said(end, ran)
			return nil
		}
		if ran >= max(p.o.steady, p.pause(failed)) {
			failed = 0
		}
		pause := p.pause(failed)
		failed++
		p.stats.restarts.Add(1)
		p.stats.state.Store(int32(BackingOff))
		p.log.Warn("plugin: it ended by itself, or could not be started, and is started again", notice.PluginEnded, "status", end.status,
			"pid", end.pid, "ran", ran.Round(time.Millisecond), "unread", end.unread, "again_in", pause)
		p.said(end, ran)
		if !wait(ctx, pause) {
			return nil
		}
	}
}

// said tells what was lost, if anything may have been.
func (p *Plugin) said(e end, ran time.Duration) {
	if e.uncertain > 0 {
		p.log.Warn("plugin: what it had read last may be lost", notice.PluginUncertain, "bytes", e.uncertain, "status", e.status)
	}
	p.log.Debug("plugin: ended", "pid", e.pid, "status", e.status, "ran", ran)
}

// pause is how long to wait before the next start, after so many lives in a row that were short.
func (p *Plugin) pause(failed int) time.Duration {
	d := p.o.RestartMin
	for ; failed > 0 && d < p.o.RestartMax; failed-- {
		d *= 2
	}
	return min(d, p.o.RestartMax)
}

// wait returns false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ended says whether the backlog will never give anything any more.
func ended(err error) bool { return errors.Is(err, record.ErrClosed) }
