package node

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/ingest"
	"ftfuse/internal/queue"
)

func (s *sender) handlers() control.Handlers {
	return control.Handlers{
		"GET " + control.PathStatus: func(_ context.Context, q url.Values, _ []byte) (any, error) {
			if q.Has(control.AskWritten) {
				return s.statusOfWritten()
			}
			return s.status(), nil
		},
		"POST " + control.PathReload: func(ctx context.Context, _ url.Values, _ []byte) (any, error) { return told(s.process, s.reload)(ctx) },
		"GET " + control.PathExplain: func(_ context.Context, q url.Values, _ []byte) (any, error) { return s.explain(q.Get("path")) },
		"GET " + control.PathTap: func(ctx context.Context, q url.Values, _ []byte) (any, error) {
			return listen(ctx, &s.tap, q, s.dirs())
		},
	}
}

// statusOfWritten is the status that leaves out nothing of what was written before.
func (s *sender) statusOfWritten() (control.Status, error) {
	n, err := s.capture.Unregistered()
	if err != nil {
		return control.Status{}, err
	}
	st := s.status() // asks the queue later: what goes there meanwhile is in one of them, or in both
	st.Sender.Unseen = uint64(n)
	return st, nil
}

func (s *sender) status() control.Status {
	now := time.Now()
	st := control.Status{Role: "sender", Version: s.process.Version, PID: os.Getpid(), Host: s.source.Host, Since: s.since, Now: now}
	use := s.capture.Usage() // before the queue is asked: what goes there meanwhile must not be in neither
	q := s.queue.Stats()
	st.Sender = &control.SenderStatus{ID: s.source.Sender.String(), Mounts: s.mountStatus(), Spools: int(use.Spools), Disk: uint64(max(use.Disk, 0)),
		Unseen: uint64(max(use.Unseen, 0)), Flows: flows(q), Queue: s.queueStatus(q)}
	cfg := s.ruling.Load().cfg
	st.Certificates = s.certificates()
	for _, t := range cfg.Targets {
		g, peers := targetStatus(s.destinations, &s.rates, t, s.ruling.Load().classes, q, now)
		st.Sender.Targets, st.Sender.Peers = append(st.Sender.Targets, g), append(st.Sender.Peers, peers...)
	}
	for _, o := range cfg.Outputs {
		st.Sender.Outputs = append(st.Sender.Outputs, s.outputStatus(o, q))
	}
	if use.Refused > 0 {
		st.Trouble = append(st.Trouble, fmt.Sprintf("%d opens got write capture because there were too many spools: raise LimitNOFILE", use.Refused))
	}
	if use.Damaged > 0 {
		st.Trouble = append(st.Trouble, fmt.Sprintf("%d damaged spools were set aside: look into the quarantine folder", use.Damaged))
	}
	st.Judge(s.cfg.Metrics.UnreachableAfter)
	return st
}

// queueStatus is what can be said of any queue: that in dir, on the disk of stateDir.
func queueStatus(q queue.Stats, dir, stateDir string, maxSize, minFree config.Size) control.QueueStatus {
	qs := control.QueueStatus{Bytes: q.Held, MaxSize: uint64(maxSize), MinFree: uint64(minFree), Epoch: q.Epoch, LastLoss: q.LastLoss,
		Disk: diskUse(dir), State: "ok"}
	var st unix.Statfs_t
	if unix.Statfs(stateDir, &st) == nil {
		qs.DiskFree = st.Bavail * uint64(st.Bsize)
	}
	for _, c := range q.Cursors {
		if !c.Oldest.IsZero() && (qs.Oldest.IsZero() || c.Oldest.Before(qs.Oldest)) {
			qs.Oldest = c.Oldest
		}
	}
	return qs
}

func (s *sender) queueStatus(q queue.Stats) control.QueueStatus {
	qs := queueStatus(q, s.cfg.Queue.Dir, s.cfg.StateDir, s.cfg.Queue.MaxSize, s.cfg.Queue.MinFree)
	if max(uint64(s.capture.Usage().Disk), qs.Bytes) > qs.MaxSize || qs.DiskFree < qs.MinFree {
		qs.State = "full"
	}
	return qs
}

// flows turns the queue's rows into what status shows.
func flows(q queue.Stats) []control.Flow {
	var list []control.Flow
	for _, c := range q.Cursors {
		for _, r := range c.Rules {
			f := control.Flow{Rule: r.Rule, Target: c.Name, Captured: count(r.Captured), Delivered: count(r.Delivered),
				Queued: count(r.Queued), Filtered: count(r.Filtered), Dropped: control.Drops{}}
			for why, t := range r.Dropped {
				f.Dropped[why] = count(t)
			}
			list = append(list, f)
		}
	}
	return list
}

func count(t queue.Tally) control.Count {
	return control.Count{Bytes: uint64(t.Bytes), Records: uint64(t.Records)}
}

// rates turns counters into rates over the time between two looks, at least a second apart.
type rates struct {
	mu     sync.Mutex // guards last and pruned
	last   map[string]sample
	pruned time.Time
}

type sample struct {
	at    time.Time
	bytes uint64
	rate  float64
}

// of returns the growth per second of the counter called key.
func (r *rates) of(key string, bytes uint64, now time.Time) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = map[string]sample{}
	}
	r.prune(now)
	l, known := r.last[key]
	if !known {
		r.last[key] = sample{at: now, bytes: bytes}
		return 0
	}
	if dt := now.Sub(l.at).Seconds(); dt >= 1 {
		l = sample{now, bytes, max(0, float64(bytes)-float64(l.bytes)) / dt}
		r.last[key] = l
	}
	return l.rate
}

// forgetRates is when a counter that nobody asks for any more is forgotten: its connection has ended.
const forgetRates = 10 * time.Minute

// prune forgets old samples, now and then. The caller holds mu.
func (r *rates) prune(now time.Time) {
	if now.Sub(r.pruned) < forgetRates {
		return
	}
	r.pruned = now
	for key, l := range r.last {
		if now.Sub(l.at) > forgetRates {
			delete(r.last, key)
		}
	}
}

func (r *receiver) handlers() control.Handlers {
	return control.Handlers{
		"GET " + control.PathStatus:  func(context.Context, url.Values, []byte) (any, error) { return r.status(), nil },
		"POST " + control.PathReload: func(ctx context.Context, _ url.Values, _ []byte) (any, error) { return told(r.process, r.reload)(ctx) },
		"GET " + control.PathExplain: func(_ context.Context, q url.Values, _ []byte) (any, error) {
			return r.explain(q.Get("host"), q.Get("path"))
		},
		"GET " + control.PathTap: func(ctx context.Context, q url.Values, _ []byte) (any, error) { return listen(ctx, &r.tap, q, nil) },
	}
}

func (r *receiver) status() control.Status {
	now := time.Now()
	host, _ := os.Hostname() // "" is shown as such
	in := r.ingest.Status()
	st := control.Status{Role: "receiver", Version: r.process.Version, PID: os.Getpid(), Host: host, Since: r.since, Now: now,
		Receiver: &control.ReceiverStatus{Listen: r.listening, Refused: in.Refused, Limit: uint64(r.cfg.Limits.Memory),
			Totals: totals(in), Ledger: control.LedgerStatus{Disk: diskUse(r.ledgerDir()), Salvages: r.ledger.Salvages()}}}
	st.Certificates = r.certificates()
	for _, p := range in.Peers {
		key := p.Sender.String() + p.Address
		if done := p.StoredBytes + p.DuplicateBytes; p.Bytes > done { // read at slightly different times
			st.Receiver.Memory += p.Bytes - done
		}
		st.Receiver.Peers = append(st.Receiver.Peers, control.SourceStatus{Sender: p.Sender.String(), Host: p.Host, Address: p.Address,
			State: "connected", Since: p.Since, Epoch: p.Epoch,
			Received: control.Count{Bytes: p.Bytes, Records: p.Records}, Stored: control.Count{Bytes: p.StoredBytes, Records: p.StoredRecords},
			Duplicates: control.Count{Bytes: p.DuplicateBytes, Records: p.DuplicateRecords},
			ByteRate:   r.rates.of(key, p.Bytes, now), RecordRate: r.rates.of(key+" records", p.Records, now), Error: p.LastError,
			TLS: p.Secure, Identity: p.Identity, Peer: p.Allowance, Paused: p.Paused})
	}
	st.Receiver.Outputs = r.outputStatus()
	r.relayStatus(st.Receiver, now)
	st.Judge(r.cfg.Metrics.UnreachableAfter)
	return st
}

func totals(in ingest.Status) control.IngestTotals {
	return control.IngestTotals{Connections: in.Connections, Accepted: in.Accepted, Wire: in.WireBytes, Failures: in.Failures,
		Received:   control.Count{Bytes: in.Bytes, Records: in.Records},
		Stored:     control.Count{Bytes: in.StoredBytes, Records: in.StoredRecords},
		Duplicates: control.Count{Bytes: in.DuplicateBytes, Records: in.DuplicateRecords}}
}

// diskUse returns the bytes on disk of what lies below dir. What vanishes meanwhile does not count.
func diskUse(dir string) uint64 {
	var n uint64
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error { // it never returns an error
		var st unix.Stat_t
		if err == nil && unix.Lstat(path, &st) == nil {
			n += uint64(st.Blocks) * 512
		}
		return nil
	})
	return n
}
