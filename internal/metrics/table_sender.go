package metrics

import (
	"strings"

	"ftfuse/internal/control"
)

// spools are what is captured and kept.
var spools = []Metric{
	{"ftfuse_unseen_bytes", Gauge, Sender, nil, "Bytes that the kernel has appended to spools and that are not registered yet; they count as captured afterwards.",
		sender(func(s *control.SenderStatus) float64 { return float64(s.Unseen) })},
	{"ftfuse_spools", Gauge, Sender, nil, "Files of captured bytes.",
		sender(func(s *control.SenderStatus) float64 { return float64(s.Spools) })},
	{"ftfuse_spool_disk_bytes", Gauge, Sender, nil, "Disk space that the spools take, delivered bytes that stay readable included.",
		sender(func(s *control.SenderStatus) float64 { return float64(s.Disk) })},
}

func sender(value func(*control.SenderStatus) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) { put(value(s.Sender)) }
}

var byMount = []string{"mount"}

// mounts are the captured directories.
var mounts = []Metric{
	{"ftfuse_mount_serving", Gauge, Sender, byMount, "1 while the mount is served.", serving},
	{"ftfuse_mount_opens_total", Counter, Sender, []string{"mount", "mode", "reason"}, "Opens since the start, by the capture that they got, and why; see capture.md.", opens},
	{"ftfuse_mount_requests_total", Counter, Sender, byMount, "Requests from the kernel since the start.",
		mount(func(m control.MountStatus) float64 { return float64(m.Requests) })},
	{"ftfuse_mount_writes_total", Counter, Sender, byMount, "Of those, calls of write(2) by write capture.",
		mount(func(m control.MountStatus) float64 { return float64(m.Writes) })},
	{"ftfuse_mount_handles", Gauge, Sender, byMount, "Open files and directories.",
		mount(func(m control.MountStatus) float64 { return float64(m.Handles) })},
	{"ftfuse_mount_nodes", Gauge, Sender, byMount, "Inodes that the kernel knows.",
		mount(func(m control.MountStatus) float64 { return float64(m.Nodes) })},
	{"ftfuse_mount_panics_total", Counter, Sender, byMount, "Requests that failed by a mistake in ftfuse; the log has a stack for each. Please report.",
		mount(func(m control.MountStatus) float64 { return float64(m.Panics) })},
	{"ftfuse_mount_take_overs_total", Counter, Sender, byMount, "How often a process took the mount over from the one before it: restarts, upgrades and crashes that programs did not notice.",
		mount(func(m control.MountStatus) float64 { return float64(m.TakeOvers) })},
}

// mount adds up mounts of one name: one that was unmounted lazily lives on beside its successor, until its files are closed.
func mount(value func(control.MountStatus) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) {
		sum := map[string]float64{}
		for _, m := range s.Sender.Mounts {
			sum[m.Name] += value(m)
		}
		for name, v := range sum {
			put(v, name)
		}
	}
}

// serving says whether the mount that counts, the youngest of a name, is served.
func serving(s *control.Status, put put) {
	served := map[string]bool{}
	for _, m := range s.Sender.Mounts {
		served[m.Name] = m.State == control.Serving
	}
	for name, is := range served {
		put(yes(is), name)
	}
}

// opens leaves the kernel's words out of the reasons: `no spool: too many open files` counts as `no spool`.
func opens(s *control.Status, put put) {
	sum := map[[3]string]uint64{}
	for _, m := range s.Sender.Mounts {
		for _, o := range m.Opens {
			reason := o.Reason
			if head, _, found := strings.Cut(reason, ": "); found && head != "rule" {
				reason = head
			}
			sum[[3]string{m.Name, o.Mode, reason}] += o.Count
		}
	}
	for labels, n := range sum {
		put(float64(n), labels[:]...)
	}
}
