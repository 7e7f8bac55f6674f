package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"ftfuse/internal/bugreport"
	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/systemd"
)

// ourUnits are the units of the packages.
var ourUnits = []string{
	"ftfuse-sender.service", "ftfuse-sender.socket", "ftfuse-sender-metrics.socket", "ftfuse-broker.service", "ftfuse-broker.socket",
	"ftfuse-receiver.service", "ftfuse-receiver.socket", "ftfuse-receiver-control.socket", "ftfuse-receiver-metrics.socket",
}

// surroundings are what the configurations say of this machine.
type surroundings struct {
	sockets map[config.Role]string
	own     []string // folders whose files are listed
	disks   []string // folders on whose disks there must be room
	mounts  []string
}

func look(list []configuration, usual bool) surroundings {
	at := surroundings{sockets: map[config.Role]string{}}
	if usual { // also for a process whose configuration is gone or cannot be read
		for _, r := range []config.Role{config.RoleSender, config.RoleReceiver} {
			at.sockets[r] = usualSocket(r)
		}
	}
	for _, c := range list { // what cannot be read shows in the part that shows the configuration
		if c.role == config.RoleReceiver {
			if cfg, _, err := config.LoadReceiver(c.src); err == nil {
				at.sockets[c.role] = cfg.Control.Socket
				at.own = append(at.own, cfg.StateDir)
				for _, o := range cfg.Outputs {
					if o.Base != "" { // else it is the journal
						at.disks = append(at.disks, o.Base)
					}
				}
			}
			continue
		}
		if cfg, _, err := config.LoadSender(c.src); err == nil {
			at.sockets[c.role] = cfg.Control.Socket
			at.own = append(at.own, cfg.StateDir, cfg.SpoolDir, cfg.Queue.Dir)
			at.mounts = append(at.mounts, mountPaths(cfg)...)
		}
	}
	slices.Sort(at.own)
	var outer []string // without those that lie in others
	for _, dir := range at.own {
		if n := len(outer); n == 0 || dir != outer[n-1] && !strings.HasPrefix(dir, outer[n-1]+"/") {
			outer = append(outer, dir)
		}
	}
	at.disks, at.own = append(at.disks, at.own...), outer
	return at
}

// reportParts says what goes into the archive.
func reportParts(ctx context.Context, t *terminal, files []string) []bugreport.Part {
	list, listErr := configurations(t, files, "")
	at := look(list, len(files) == 0)
	parts := []bugreport.Part{{Name: "version.txt", What: "versions of ftfuse and of its package", Get: bugreport.Join(versions, packages)}}
	for _, c := range list {
		parts = append(parts, bugreport.Part{Name: "config-" + string(c.role) + ".yaml", What: "the configuration that holds, and where each value comes from",
			Get: func(context.Context) ([]byte, error) { return shownConfig(c) }})
	}
	if listErr != nil {
		parts = append(parts, bugreport.Part{Name: "config.yaml", Get: func(context.Context) ([]byte, error) { return nil, listErr }})
	}
	var pids []int
	for _, r := range slices.Sorted(maps.Keys(at.sockets)) {
		path := at.sockets[r]
		pids = append(pids, pidsOf(ctx, path)...)
		parts = append(parts, bugreport.Part{Name: "status-" + string(r) + ".json", What: "what the running " + string(r) + " says",
			Get: func(ctx context.Context) ([]byte, error) {
				var b bytes.Buffer
				err := showStatus(ctx, []socket{{path, true}}, &b, control.Style{}, true)
				return b.Bytes(), err
			}})
	}
	parts = append(parts,
		bugreport.Part{Name: "queue.txt", What: "what the queue holds", Get: func(ctx context.Context) ([]byte, error) { return queueText(ctx, list) }},
		bugreport.Part{Name: "disk.txt", What: "room on the disks of our folders", Get: bugreport.Room(at.disks)},
		bugreport.Part{Name: "files.txt", What: "names and sizes of our own files, not what is in them", Get: bugreport.List(at.own)})
	parts = append(parts, bugreport.Machine(pids)...)
	return append(parts, unitParts(at.mounts)...)
}

func unitParts(mounts []string) []bugreport.Part {
	units := slices.Clone(ourUnits)
	for _, m := range mounts {
		if name, err := systemd.MountUnit(m); err == nil { // a path that no unit can have has none
			units = append(units, name)
		}
	}
	ask := func(args ...string) func(context.Context) ([]byte, error) {
		return bugreport.Command("systemctl", append(append([]string{"--no-pager"}, args...), units...)...)
	}
	return []bugreport.Part{
		{Name: "units.txt", What: "our units as they are written, with their drop-ins", Get: ask("cat", "--")},
		{Name: "units-status.txt", What: "how they are", Get: ask("--full", "--lines=0", "status", "--")},
		{Name: "units-show.txt", What: "all their properties", Get: ask("show", "--")},
		{Name: "journal.txt", What: "the last lines that our programs wrote to the journal", Get: bugreport.Journal(units)},
	}
}

func versions(context.Context) ([]byte, error) {
	var b bytes.Buffer
	err := printVersion(&b)
	return b.Bytes(), err
}

// packages asks whichever package manager there is.
func packages(ctx context.Context) ([]byte, error) {
	text, deb := bugreport.Command("dpkg-query", "--show", "ftfuse")(ctx)
	if deb == nil {
		return text, nil
	}
	text, rpm := bugreport.Command("rpm", "--query", "ftfuse")(ctx)
	if rpm == nil {
		return text, nil
	}
	return nil, errors.Join(deb, rpm)
}

// shownConfig is `ftfuse config show`, or what is wrong with the configuration.
func shownConfig(c configuration) ([]byte, error) {
	report, err := c.load()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, w := range report.Warnings {
		fmt.Fprintf(&b, "# warning: %v\n", w)
	}
	err = report.Show(&b, true)
	return b.Bytes(), err
}

// pidsOf returns the processes of who answers there: its own first, those of its plug-ins behind it.
func pidsOf(ctx context.Context, path string) []int {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var s control.Status
	if control.Call(ctx, path, http.MethodGet, control.PathStatus, nil, &s) != nil || s.PID == 0 {
		return nil
	}
	pids := []int{s.PID}
	var outputs []control.OutputStatus
	if s.Sender != nil {
		outputs = s.Sender.Outputs
	}
	if s.Receiver != nil {
		outputs = append(outputs, s.Receiver.Outputs...)
	}
	for _, o := range outputs {
		if o.Plugin != nil && o.Plugin.PID != 0 {
			pids = append(pids, o.Plugin.PID)
		}
	}
	return pids
}

func queueText(ctx context.Context, list []configuration) ([]byte, error) {
	i := slices.IndexFunc(list, func(c configuration) bool { return c.role == config.RoleSender })
	if i < 0 {
		return nil, errors.New("no sender is configured")
	}
	cfg, _, err := config.LoadSender(list[i].src)
	if err != nil {
		return nil, err
	}
	s, problems, err := queueStatus(ctx, queueOf(cfg))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, p := range problems {
		fmt.Fprintln(&b, "problem:", p)
	}
	err = s.Print(&b, control.Style{})
	return b.Bytes(), err
}
