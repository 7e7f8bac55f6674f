package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"ftfuse/internal/capture"
	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
)

func newQueue(t *terminal) *cobra.Command {
	var whose owner
	c := family(&cobra.Command{
		Use:   "queue",
		Short: "look into a queue, of a sender or relay, check, repair, empty it",
		Long: `Look after the queue on this machine's disk: of the sender, or with --role
receiver that of a receiver's targets and plug-ins. status works at any time;
the others want the process stopped that has the queue.`,
		Example: `  ftfuse queue status
  systemctl stop ftfuse-sender && ftfuse queue check`,
	}, newQueueStatus(t, &whose), newQueueCheck(t, &whose), newQueueExport(t, &whose), newQueueRepair(t, &whose), newQueuePurge(t, &whose))
	c.PersistentFlags().StringVarP(&whose.file, "config", "c", "", "configuration `FILE` (default that of the role)")
	c.PersistentFlags().StringVar(&whose.role, "role", string(config.RoleSender), "`sender` or receiver: whose queue it is")
	return c
}

// owner says whose queue is meant.
type owner struct{ role, file string }

// queueParts are what a configuration says of a queue.
type queueParts struct {
	dir, socket      string
	spools           string // "": payload lies in the queue itself
	maxSize, minFree config.Size
}

func queueOf(cfg *config.Sender) queueParts {
	return queueParts{cfg.Queue.Dir, cfg.Control.Socket, cfg.SpoolDir, cfg.Queue.MaxSize, cfg.Queue.MinFree}
}

// queue reads the configuration of whoever has the queue.
func (o *owner) queue(t *terminal) (q queueParts, err error) {
	switch config.Role(o.role) {
	case config.RoleSender:
		cfg, _, err := loadSender(t, o.file)
		if err != nil {
			return q, err
		}
		return queueOf(cfg), nil
	case config.RoleReceiver:
		cfg, _, err := loadReceiver(t, o.file)
		if err != nil {
			return q, err
		}
		return queueParts{filepath.Join(cfg.StateDir, "queue"), cfg.Control.Socket, "", cfg.Queue.MaxSize, cfg.Queue.MinFree}, nil
	}
	return q, usageError{fmt.Errorf("got --role %q, want sender or receiver", o.role), "ftfuse queue"}
}

// stopped adds to an error what to do if the sender runs, or has never run.
func stopped(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return exitError{err, exitFailed, "a sender makes its queue when it first starts; --config names another sender's configuration"}
	}
	if err != nil && isInUse(err) {
		return exitError{err, exitInUse, "stop the sender first: `systemctl stop ftfuse-sender`, or end the process that `ftfuse status` names"}
	}
	return err
}

func newQueueStatus(t *terminal, whose *owner) *cobra.Command {
	var asJSON, empty bool
	c := &cobra.Command{
		Use:   "status [--json | --drained]",
		Short: "show what the queue holds, for each rule and target",
		Example: `  ftfuse queue status
  ftfuse queue status --drained && apt purge ftfuse`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			q, err := whose.queue(t)
			if err != nil {
				return err
			}
			s, problems, err := queueStatus(c.Context(), q)
			if err != nil {
				return stopped(err)
			}
			if empty {
				return drained(q.spools, &s)
			}
			if asJSON {
				return json.NewEncoder(t.out).Encode(s)
			}
			for _, p := range problems {
				t.say("warning", yellow, p, "look closer with `ftfuse queue check`")
			}
			return s.Print(t.out, t.style())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&empty, "drained", false, "print nothing, and exit with 1 unless all that was captured is delivered")
	return c
}

// queueStatus asks the running sender, or reads the queue of a stopped one. problems are what seems wrong there.
func queueStatus(ctx context.Context, q queueParts) (s control.QueueReport, problems []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var live control.Status
	err = control.Call(ctx, q.socket, http.MethodGet, control.PathStatus+"?"+control.AskWritten, nil, &live)
	if err == nil && live.Sender != nil {
		return control.QueueReport{Now: live.Now, Live: true, Unseen: live.Sender.Unseen, Queue: live.Sender.Queue, Flows: live.Sender.Flows}, nil, nil
	}
	if err == nil && live.Receiver != nil && live.Receiver.Queue != nil {
		return control.QueueReport{Now: live.Now, Live: true, Queue: *live.Receiver.Queue, Flows: live.Receiver.Flows}, nil, nil
	}
	if err != nil && !errors.Is(err, control.ErrNotRunning) {
		return s, nil, err
	}
	st, problems, err := queue.Status(q.dir)
	if err != nil {
		return s, nil, err
	}
	s = control.QueueReport{Now: time.Now(), Queue: control.QueueStatus{
		Bytes: st.Held, MaxSize: uint64(q.maxSize), MinFree: uint64(q.minFree), DiskFree: diskFree(q.dir),
		Epoch: st.Epoch, State: "stopped",
	}, Closed: st.Closed, Damaged: len(problems) > 0}
	for _, c := range st.Cursors {
		if o := c.Oldest; !o.IsZero() && (s.Queue.Oldest.IsZero() || o.Before(s.Queue.Oldest)) {
			s.Queue.Oldest = o
		}
		for _, r := range c.Rules {
			s.Flows = append(s.Flows, flow(c.Name, r))
		}
	}
	return s, problems, nil
}

func flow(target string, r queue.Row) control.Flow {
	f := control.Flow{Rule: r.Rule, Target: target, Captured: control.Count(r.Captured), Delivered: control.Count(r.Delivered),
		Queued: control.Count(r.Queued), Filtered: control.Count(r.Filtered), Dropped: control.Drops{}}
	for why, n := range r.Dropped {
		f.Dropped[why] = control.Count(n)
	}
	return f
}

func newQueueCheck(t *terminal, whose *owner) *cobra.Command {
	return &cobra.Command{
		Use:     "check",
		Short:   "read everything in the queue and verify its checksums",
		Example: "  systemctl stop ftfuse-sender && ftfuse queue check",
		Args:    arguments(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			q, err := whose.queue(t)
			if err != nil {
				return err
			}
			r, err := queue.Check(q.dir, t.progress("checking"))
			if err != nil {
				return stopped(err)
			}
			return t.report(q.dir, r, "`ftfuse queue repair` saves what can be read and counts the rest as gaps")
		},
	}
}

// report prints what a check has read, and fails with a hint if it found anything.
func (t *terminal) report(dir string, r queue.Report, hint string) error {
	fmt.Fprintf(t.out, "%s: databases %d, %s, entries %d, chunks %d, problems %d\n",
		dir, r.Databases, humanize.IBytes(uint64(r.Bytes)), r.Entries, r.Chunks, len(r.Problems))
	for _, p := range r.Problems {
		t.say("error", red, p, "")
	}
	if n := len(r.Problems); n > 0 {
		return exitError{fmt.Errorf("problems in %s: %d", dir, n), exitFailed, hint}
	}
	return nil
}

func newQueueExport(t *terminal, whose *owner) *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "print what is queued, one JSON object for each chunk",
		Long: `Print what some target has not acknowledged, one JSON object a line, paths and
data in base64.`,
		Example: "  ftfuse queue export | jq -r '.path | @base64d' | sort | uniq -c",
		Args:    arguments(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			q, err := whose.queue(t)
			if err != nil {
				return err
			}
			var spools record.Store
			if q.spools != "" {
				if spools, err = capture.OpenOffline(q.spools); err != nil {
					return err
				}
			}
			return stopped(queue.Export(q.dir, t.out, spools, t.progress("exporting")))
		},
	}
}

func newQueueRepair(t *terminal, whose *owner) *cobra.Command {
	return &cobra.Command{
		Use:   "repair",
		Short: "save what can be read of a damaged queue, count the rest as gaps",
		Long: `Do what the sender does at its start, and read everything besides: damaged
databases are set aside in a quarantine folder, and what is missing becomes
gaps.`,
		Example: "  systemctl stop ftfuse-sender && ftfuse queue repair",
		Args:    arguments(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			q, err := whose.queue(t)
			if err != nil {
				return err
			}
			slog.SetDefault(slog.New(slog.DiscardHandler)) // what is found is said below, in words for people
			found, r, err := queue.Repair(q.dir, t.progress("repairing"))
			if err != nil {
				return stopped(err)
			}
			if found.Lost > 0 {
				fmt.Fprintf(t.out, "positions that cannot be read any more: %d, counted as dropped, reason damaged\n", found.Lost)
			}
			if found.Quarantined != "" {
				fmt.Fprintf(t.out, "damaged databases are in %s\n", found.Quarantined)
			}
			return t.report(q.dir, r, "a sender can start with this: what is missing is counted, or was delivered before")
		},
	}
}

func newQueuePurge(t *terminal, whose *owner) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "purge --yes queued|quarantine|cursor:TARGET",
		Short: "throw queued data away; receivers are told of the gap",
		Long: `Throw away everything that is queued, or what is queued for one target, or the
databases that were set aside as damaged. What was queued is counted as
dropped, and travels to the receivers as gaps.`,
		Example: "  ftfuse queue purge --yes cursor:default",
		Args:    arguments(1, 1, "what to throw away: queued, quarantine or cursor:TARGET"),
		RunE: func(_ *cobra.Command, args []string) error {
			what := args[0]
			if what != "queued" && what != "quarantine" && !strings.HasPrefix(what, "cursor:") {
				return usageError{fmt.Errorf("got %q, want queued, quarantine or cursor:TARGET", what), "ftfuse queue purge"}
			}
			q, err := whose.queue(t)
			if err != nil {
				return err
			}
			if !yes {
				return exitError{fmt.Errorf("this throws data of %s away for good", q.dir), exitUsage, "add --yes if that is meant"}
			}
			freed, err := queue.Purge(q.dir, what)
			if err != nil {
				return stopped(err)
			}
			_, err = fmt.Fprintf(t.out, "%s: %s given free\n", q.dir, humanize.IBytes(uint64(freed)))
			return err
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it")
	return c
}
