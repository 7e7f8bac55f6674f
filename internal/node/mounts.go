package node

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/handover"
	"ftfuse/internal/mount"
	"ftfuse/internal/notice"
	"ftfuse/internal/systemd"
)

// brokerSocket is where ftfuse-broker.socket listens.
const brokerSocket = "/run/ftfuse/broker.sock"

// mounted is one directory that is served.
type mounted struct {
	name     string
	existing string
	root     int // the directory below
	m        *mount.Mount
	token    string // of the descriptors in the service manager's store; "": nothing is stored
}

// given reports whether mounts are handed to us, by a helper or by our predecessor; else we mount by ourselves.
func (s *sender) given() bool { return s.process.Inherited.Mounts != nil }

// live returns the mounts that are served.
func (s *sender) live() []*mounted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mounts)
}

func (s *sender) mountOptions(c config.Mount) mount.Options {
	return mount.Options{
		Name: c.Name, Dir: c.Path, Umask: modeOrNil(c.Umask), UID: idOrNil(int(c.UID)), GID: idOrNil(int(c.GID)), OwnerOnly: !c.AllowOther,
		Capture: captureOf{s.capture, c.Name}, Decider: decider{s}, Identifier: s.ident, Pulses: &s.pulses,
		Ready: s.ready(c.Name), Logger: s.log.With("part", "mount"), Backing: s.backing,
	}
}

// backingFor returns who registers backing files with the kernel: a process without CAP_SYS_ADMIN asks the broker.
func backingFor() mount.Backing {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil
	}
	var effective uint64
	for line := range strings.Lines(string(b)) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			_, _ = fmt.Sscanf(strings.TrimSpace(hex), "%x", &effective)
		}
	}
	if effective&(1<<unix.CAP_SYS_ADMIN) != 0 {
		return nil
	}
	return &handover.Broker{Socket: brokerSocket}
}

// openMounts opens the directories to mount on, or the mounts that live on.
func (s *sender) openMounts() error {
	if s.given() {
		s.adoptMounts()
		return nil
	}
	for _, c := range s.cfg.Mounts {
		if _, err := s.openMount(c, nil, ""); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) openMount(c config.Mount, g *mount.Given, token string) (*mounted, error) {
	o := s.mountOptions(c)
	o.Given = g
	opened, err := mount.Open(o)
	if err != nil {
		return nil, err
	}
	m := &mounted{name: c.Name, existing: c.Existing, root: opened.Below(), m: opened, token: token}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mounts = append(s.mounts, m)
	return m, nil
}

// startMounts starts what serves the mounts.
func (s *sender) startMounts(parts *stages) {
	if l := s.process.Inherited.Mounts; l != nil {
		s.process.Inherited.Mounts = nil // Serve closes it
		parts.start("mounts", func(ctx context.Context) error { return s.serveMounts(ctx, l) })
		return
	}
	for _, m := range s.live() {
		s.setState(m.name, "starting")
		parts.start("mount "+m.name, func(ctx context.Context) error { return s.serveMount(ctx, m) })
		parts.start("pick-up "+m.name, func(ctx context.Context) error { return s.pickUp(ctx, m) })
	}
}

// stored is what the service manager keeps of one mount.
type stored struct {
	name, token         string
	fuse, below, memory *os.File
	kept                *mount.Kept // what our predecessor knew of it
}

// The names in the service manager's store are TOKEN.KIND.NAME, with a token for each mount: of one name there can be
// several, when an old one was unmounted lazily.
const (
	kindFuse   = "fuse"
	kindBelow  = "below"
	kindMemory = "memory"
)

func storeName(token, kind, name string) string { return token + "." + kind + "." + name }

// readStored finds the mounts that live on, and reads what our predecessor knew of them. What is not whole is given up.
func (s *sender) readStored() []*stored {
	all := map[string]*stored{}
	for name, f := range s.process.Inherited.Stored {
		token, rest, _ := strings.Cut(name, ".")
		kind, mount, _ := strings.Cut(rest, ".")
		st := all[token]
		if st == nil {
			st = &stored{name: mount, token: token}
			all[token] = st
		}
		switch kind {
		case kindFuse:
			st.fuse = f
		case kindBelow:
			st.below = f
		case kindMemory:
			st.memory = f
		default:
			s.log.Warn("the service manager keeps something that is none of ours", "name", name)
			f.Close()
		}
	}
	s.process.Inherited.Stored = nil
	var list []*stored
	for _, st := range all {
		if st.fuse == nil { // unmounted while nobody served: the service manager drops a connection that has ended
			s.giveUp(st)
			continue
		}
		_, configured := s.configured(st.name)
		if err := st.read(configured); err != nil {
			s.log.Error("mount cannot be taken over: it ends", notice.MountLost, "mount", st.name, "error", err)
			s.giveUp(st)
			continue
		}
		list = append(list, st)
	}
	return list
}

func (st *stored) read(configured bool) error {
	if st.below == nil || st.memory == nil {
		return errors.New("the service manager has not kept all of its descriptors")
	}
	if !configured {
		return errors.New("the configuration has no such mount any more")
	}
	var err error
	st.kept, err = mount.ReadKept(st.memory)
	return err
}

// giveUp closes what is left of a mount. With its last descriptor the connection ends: programs see ENOTCONN.
func (s *sender) giveUp(st *stored) {
	for kind, f := range map[string]*os.File{kindFuse: st.fuse, kindBelow: st.below, kindMemory: st.memory} {
		if f != nil {
			f.Close()
			s.unstore(st.token, kind, st.name)
		}
	}
}

func (s *sender) unstore(token, kind, name string) {
	if err := systemd.Unstore(storeName(token, kind, name)); err != nil {
		s.log.Warn(err.Error())
	}
}

// configured returns what the configuration says of a mount.
func (s *sender) configured(name string) (config.Mount, bool) {
	i := slices.IndexFunc(s.cfg.Mounts, func(c config.Mount) bool { return c.Name == name })
	if i < 0 {
		return config.Mount{}, false
	}
	return s.cfg.Mounts[i], true
}

// adoptMounts goes on with the mounts that live on. Capture knows already whose handles do.
func (s *sender) adoptMounts() {
	for _, st := range s.adopting {
		c, _ := s.configured(st.name) // readStored has seen to it
		_, err := s.openMount(c, &mount.Given{Fuse: st.fuse, Below: st.below, Kept: st.kept}, st.token)
		if err != nil {
			s.log.Error("mount cannot be taken over: it ends", notice.MountLost, "mount", st.name, "error", err)
			s.giveUp(st)
			continue
		}
		st.below.Close()
	}
	s.adopting = nil
}

// serveMounts serves the mounts that live on and those that helpers hand over, until ctx ends. All are left as they are
// then.
func (s *sender) serveMounts(ctx context.Context, l *net.UnixListener) error {
	var all sync.WaitGroup
	serve := func(m *mounted) {
		ctx, stop := context.WithCancel(ctx)
		picked := make(chan struct{})
		all.Go(func() {
			defer close(picked)
			_ = s.pickUp(ctx, m)
		})
		all.Go(func() {
			defer stop()
			if s.serveGiven(ctx, m) {
				stop()
				s.forget(m, picked)
			}
		})
	}
	for _, m := range s.live() {
		serve(m)
	}
	err := handover.Serve(ctx, l, func(_ context.Context, r handover.Request) error {
		m, err := s.receive(r)
		if err == nil {
			serve(m)
		}
		return err
	}, s.log.With("part", "hand-over"))
	all.Wait()
	return err
}

// receive takes a mount that a helper hands over.
func (s *sender) receive(r handover.Request) (*mounted, error) {
	places := map[string]handover.Place{}
	for _, c := range s.cfg.Mounts {
		places[c.Name] = handover.Place{Dir: c.Path, OwnerOnly: !c.AllowOther}
	}
	if err := handover.Match(r, places, "sender.yaml"); err != nil {
		return nil, err
	}
	var b [6]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	token := hex.EncodeToString(b[:])
	c, _ := s.configured(r.Name) // Match has found it
	m, err := s.openMount(c, &mount.Given{Fuse: r.Fuse, Below: r.Below}, token)
	if err != nil {
		return nil, err
	}
	s.store(m, r)
	r.Below.Close()
	s.log.Info("mount handed over", "mount", r.Name, "dir", r.Dir, "options", strings.Join(r.Options, ","))
	return m, nil
}

// store leaves a mount with the service manager, so that it outlives this process.
func (s *sender) store(m *mounted, r handover.Request) {
	memory := m.m.Memory()
	if memory == nil {
		return
	}
	var err error
	for kind, f := range map[string]*os.File{kindFuse: r.Fuse, kindBelow: r.Below, kindMemory: memory} {
		err = errors.Join(err, systemd.Store(storeName(m.token, kind, m.name), f))
	}
	if err != nil {
		s.log.Warn("the mount does not outlive this process", notice.MountNotKept, "mount", m.name, "error", err)
	}
}

// serveGiven serves a mount until it is unmounted, which it reports, or until ctx ends.
func (s *sender) serveGiven(ctx context.Context, m *mounted) (unmounted bool) {
	err := m.m.Serve(ctx)
	if ctx.Err() != nil {
		if err != nil {
			s.log.Error("mount", "mount", m.name, "error", err)
		}
		return false
	}
	if err != nil {
		s.log.Error("mount ended", notice.MountEnded, "mount", m.name, "error", err)
	} else {
		s.log.Info("unmounted", "mount", m.name)
	}
	return true
}

// forget gives up a mount that has been unmounted. picked is closed when nobody walks the directory below any more.
func (s *sender) forget(m *mounted, picked <-chan struct{}) {
	s.mu.Lock()
	s.mounts = slices.DeleteFunc(s.mounts, func(o *mounted) bool { return o == m })
	s.mu.Unlock()
	for _, kind := range []string{kindFuse, kindBelow, kindMemory} {
		s.unstore(m.token, kind, m.name)
	}
	<-picked
	if err := m.m.Close(); err != nil {
		s.log.Error("mount", "mount", m.name, "error", err)
	}
}

func (s *sender) paths() []string {
	var list []string
	for _, m := range s.live() {
		list = append(list, m.m.Dir())
	}
	return list
}

// dirs returns where each mount is, or would be.
func (s *sender) dirs() map[string]string {
	dirs := map[string]string{}
	for _, c := range s.cfg.Mounts {
		dirs[c.Name] = c.Path
	}
	for _, m := range s.live() {
		dirs[m.name] = m.m.Dir()
	}
	return dirs
}

func (s *sender) mountStatus() []control.MountStatus {
	var list []control.MountStatus
	served := map[string]bool{}
	for _, m := range s.live() {
		served[m.name] = true
		ms := control.MountStatus{Name: m.name, Path: m.m.Dir(), State: cmp.Or(s.stateOf(m.name), "starting")}
		x := m.m.Stats()
		ms.Requests, ms.Writes, ms.Panics, ms.Handles, ms.Nodes, ms.Files = x.Requests, x.Writes, x.Panics, x.Handles, x.Nodes, x.Files
		ms.TakeOvers = x.Taken
		for _, o := range x.Opens {
			ms.Opens = append(ms.Opens, control.OpenCount{Mode: o.Mode, Reason: o.Reason, Count: o.Count})
		}
		list = append(list, ms)
	}
	for _, c := range s.cfg.Mounts {
		if !served[c.Name] {
			list = append(list, control.MountStatus{Name: c.Name, Path: c.Path, State: "not mounted"})
		}
	}
	return list
}
