package node

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"sync/atomic"
	"time"

	"ftfuse/internal/config"
	"ftfuse/internal/format"
	"ftfuse/internal/pace"
	"ftfuse/internal/plugin"
	"ftfuse/internal/pulse"
	"ftfuse/internal/queue"
	"ftfuse/internal/record"
)

// fed is a plug-in that is fed from a cursor of the queue.
type fed struct {
	cfg   config.Output
	p     *plugin.Plugin
	taken *taken
}

// taken is a backlog that knows when something of it was acknowledged last.
type taken struct {
	record.Backlog
	last atomic.Int64 // ns since 1970; 0: never
}

// Ack implements record.Backlog.
func (t *taken) Ack(last uint64, mark record.Durable) error {
	err := t.Backlog.Ack(last, mark)
	if err == nil {
		t.last.Store(time.Now().UnixNano())
	}
	return err
}

func (t *taken) at() time.Time {
	if n := t.last.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

func (f *fed) run(ctx context.Context) error { return f.p.Run(ctx) }

// pluginParts is what a plug-in needs besides its configuration.
type pluginParts struct {
	cursor  *queue.Cursor
	store   record.Store
	sender  record.SenderID
	host    string
	fields  map[string][]string                           // of what it says in the journal
	records func(ctx context.Context, lines []byte) error // for stdout: records
	view    func(*record.Chunk) *record.Chunk             // what rules leave of a chunk for it; nil: all
	log     *slog.Logger
	pulses  *pulse.Group
}

func newFed(c config.Output, p pluginParts) (*fed, error) {
	o, err := pluginOptions(c, p.view)
	if err != nil {
		return nil, err
	}
	from := &taken{Backlog: p.cursor}
	o.Backlog, o.Store, o.Sender, o.Host, o.Fields, o.Records = from, p.store, p.sender, p.host, p.fields, p.records
	o.Logger, o.Pulses = p.log.With("part", "plugin"), p.pulses
	made, err := plugin.New(o)
	if err != nil {
		return nil, err
	}
	return &fed{c, made, from}, nil
}

var stdouts = map[string]plugin.Stdout{"journal": plugin.Journal, "file": plugin.File, "records": plugin.Records, "discard": plugin.Discard}

// pluginOptions are those of a plug-in as the configuration has them.
func pluginOptions(c config.Output, view func(*record.Chunk) *record.Chunk) (plugin.Options, error) {
	zone, err := config.Zone(c.TimeZone)
	if err != nil {
		return plugin.Options{}, err
	}
	form, err := format.New(format.Options{Format: c.Format, Template: c.Template, TimeFormat: c.TimeFormat, Location: zone})
	if err != nil {
		return plugin.Options{}, err
	}
	who, err := credential(c.Plugin)
	if err != nil {
		return plugin.Options{}, err
	}
	o := plugin.Options{
		Name: c.Name, Format: c.Format, Objects: c.Format == "msgpack", Command: c.Plugin.Command, Credential: who, Directory: c.Plugin.Directory,
		Environment: c.Plugin.Environment, Memory: uint64(c.Plugin.Memory), Files: uint64(c.Plugin.Files), Ack: c.Plugin.Ack,
		Stdout: stdouts[c.Plugin.Stdout], StdoutFile: c.Plugin.StdoutFile, Identifier: c.Identifier,
		RestartMin: c.Plugin.Restart.Min, RestartMax: c.Plugin.Restart.Max, StopTimeout: c.Plugin.StopTimeout,
	}
	_, raw := form.(format.Raw)
	if !raw {
		o.Render = form
	}
	if view != nil {
		o.Render, o.Cut = viewed{form, view}, raw
	}
	return o, nil
}

// viewed renders what rules leave of chunks.
type viewed struct {
	format.Format
	view func(*record.Chunk) *record.Chunk
}

func (v viewed) Append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte {
	if c = v.view(c); c == nil {
		return dst
	}
	return v.Format.Append(dst, c, spill)
}

// credential returns whom a plug-in runs as, nil for ourselves.
func credential(c config.Plugin) (*plugin.Credential, error) {
	if c.User == config.Keep && c.Group == config.Keep {
		return nil, nil
	}
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("find out who runs this: %w", err)
	}
	who := me
	if c.User != config.Keep {
		if who, err = user.LookupId(strconv.Itoa(int(c.User))); err != nil {
			who = &user.User{Uid: strconv.Itoa(int(c.User)), Gid: strconv.Itoa(int(c.User))} // a number without a name
		}
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", who.Uid, err)
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", who.Gid, err)
	}
	cred := &plugin.Credential{UID: uint32(uid), GID: uint32(gid)}
	if c.Group != config.Keep {
		cred.GID = uint32(c.Group)
	}
	if int(cred.UID) == os.Geteuid() && int(cred.GID) == os.Getegid() {
		return nil, nil // nothing to change, for which we may have no right
	}
	ids, err := who.GroupIds()
	if err != nil { // of a user without a name
		return cred, nil
	}
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			cred.Groups = append(cred.Groups, uint32(n))
		}
	}
	return cred, nil
}

// newPlugin makes a plug-in of a sender.
func (s *sender) newPlugin(cfg *config.Sender, c config.Output, cur *queue.Cursor) (destination, error) {
	p := pluginParts{cursor: cur, store: s.capture, sender: s.source.Sender, host: s.source.Host, fields: senderFields(cfg, c.Name), log: s.log, pulses: &s.pulses}
	if c.Plugin.Stdout == "records" {
		p.records = s.recordsOf(c)
	}
	return newFed(c, p)
}

// recordsOf takes what a plug-in writes as records of this sender's own: of mount "plugin" and a file of the plug-in's
// name. When it returns nil they are queued.
func (s *sender) recordsOf(c config.Output) func(context.Context, []byte) error {
	file := &record.File{Mount: "plugin", Path: c.Name, Rule: c.Name}
	writer := &record.Writer{}
	handle, offset := s.capture.NewHandle(), uint64(0)
	return func(_ context.Context, lines []byte) error {
		n := uint32(len(lines))
		chunk := record.Chunk{Source: s.source, File: file, Writer: writer, Handle: handle, Offset: offset, Time: time.Now().UnixNano(),
			Records: uint32(bytes.Count(lines, []byte{'\n'})), CRC: record.CRC(lines), Len: n, Data: lines, Targets: s.ruling.Load().way.spread(c.Plugin.StdoutTargets, pace.Normal)}
		if n > 0 && lines[n-1] != '\n' {
			chunk.Records++
		}
		if err := s.queue.Append([]record.Chunk{chunk}); err != nil {
			return err
		}
		offset += uint64(n)
		return nil
	}
}
