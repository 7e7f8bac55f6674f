package identify

import (
	"bytes"
	"strconv"
	"strings"
)

// parseCgroup returns the systemd unit and the container of /proc/TID/cgroup, "" for what there is none of.
//
// The unit is the one systemd itself would name (systemd: src/basic/cgroup-util.c, cg_path_get_unit): the first
// component after the slices. What stands below it was named by the unit's own processes or by a container and proves
// nothing. A user's unit is shown behind its manager, "user@1000.service/foo.service": two users, or a user and the
// system, may have units of one name, and a unit's name cannot hold a slash.
//
// The container is likewise the outermost one, as its runtime named it. The hierarchy of systemd (v1) decides before
// that of v2; if neither knows a container, any other hierarchy may.
func parseCgroup(b []byte) (unit, container string) {
	var first, unified, other string
	for len(b) > 0 {
		var l []byte
		l, b, _ = bytes.Cut(b, []byte{'\n'})
		controllers, path, ok := splitCgroup(l)
		switch {
		case !ok:
		case string(controllers) == "name=systemd":
			first = string(path)
		case len(controllers) == 0:
			unified = string(path)
		case other == "":
			other = findContainer(string(path))
		}
	}
	if unit = findUnit(first); unit == "" {
		unit = findUnit(unified)
	}
	if container = findContainer(first); container == "" {
		container = findContainer(unified)
	}
	if container == "" {
		container = other
	}
	return unit, container
}

// splitCgroup splits "ID:CONTROLLERS:PATH" (cgroups(7)). A removed v2 group has " (deleted)" behind its path.
func splitCgroup(l []byte) (controllers, path []byte, ok bool) {
	_, rest, ok := bytes.Cut(l, []byte{':'})
	if !ok {
		return nil, nil, false
	}
	controllers, path, ok = bytes.Cut(rest, []byte{':'})
	return controllers, bytes.TrimSuffix(path, []byte(" (deleted)")), ok
}

// findUnit returns the unit of a path.
func findUnit(path string) string {
	c, rest := skipSlices(path)
	if !isUnit(c) {
		return ""
	}
	if strings.HasPrefix(c, "user@") && strings.HasSuffix(c, ".service") {
		if own, _ := skipSlices(rest); isUnit(own) {
			return c + "/" + own
		}
	}
	return c
}

// skipSlices returns the first component that is not a slice, unescaped, and what follows it. Components ".."
// lead out of the reader's cgroup namespace and are passed over.
func skipSlices(path string) (component, rest string) {
	for path != "" {
		component, path, _ = strings.Cut(path, "/")
		switch {
		case component == "" || component == "..":
		case strings.HasSuffix(component, ".slice"):
		default:
			return strings.TrimPrefix(component, "_"), path // systemd's escape of names that the kernel reserves
		}
	}
	return "", ""
}

func isUnit(s string) bool {
	i := strings.LastIndexByte(s, '.')
	if i <= 0 {
		return false
	}
	switch s[i:] {
	case ".service", ".scope", ".mount", ".socket", ".swap":
		return true
	}
	return false
}

// findContainer returns the id or name of the outermost container of a path.
func findContainer(path string) string {
	parent := ""
	for path != "" {
		var c string
		c, path, _ = strings.Cut(path, "/")
		if id := containerIn(parent, c); id != "" {
			return id
		}
		if c != "" {
			parent = c
		}
	}
	return ""
}

// containerIn returns the container that one component names. Known are
//
//	docker-ID.scope libpod-ID.scope cri-containerd-ID.scope crio-ID.scope   and others of that form, with or without
//	                     ".scope", also "slice:cri-containerd:ID"; not crio-conmon-ID.scope, which is the monitor
//	.../ID               docker, kubepods and others by the cgroupfs driver
//	machine-NAME.scope   below machine.slice: systemd-machined, libvirt
//	systemd-nspawn@NAME.service
//	lxc.payload.NAME lxc.payload/NAME lxc/NAME   LXC, LXD, Incus; not lxc.monitor.NAME
//
// where ID is 64 hexadecimal digits (or ECS on Fargate: 32 digits and a number).
func containerIn(parent, c string) string {
	if parent == "lxc" || parent == "lxc.payload" {
		return c
	}
	if name, ok := strings.CutPrefix(c, "lxc.payload."); ok {
		return name
	}
	if name, ok := between(c, "systemd-nspawn@", ".service"); ok {
		return unescape(name)
	}
	name := strings.TrimSuffix(c, ".scope")
	runtime, id := "", name
	if i := strings.LastIndexAny(name, "-:"); i >= 0 {
		runtime, id = name[:i], name[i+1:]
	}
	if len(id) == 64 && isHex(id) && !strings.HasSuffix(runtime, "conmon") {
		return id
	}
	if len(runtime) == 32 && isHex(runtime) && isDigits(id) && name == c {
		return name
	}
	if name, ok := between(c, "machine-", ".scope"); ok && parent == "machine.slice" {
		return unescape(name)
	}
	return ""
}

func between(s, prefix, suffix string) (string, bool) {
	if len(s) <= len(prefix)+len(suffix) || !strings.HasPrefix(s, prefix) || !strings.HasSuffix(s, suffix) {
		return "", false
	}
	return s[len(prefix) : len(s)-len(suffix)], true
}

// unescape undoes systemd-escape(1)'s \xNN; its "-" for "/" cannot occur in a machine's name.
func unescape(s string) string {
	if !strings.Contains(s, `\x`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if i+3 < len(s) && s[i] == '\\' && s[i+1] == 'x' && isHex(s[i+2:i+4]) {
			n, _ := strconv.ParseUint(s[i+2:i+4], 16, 8)
			b.WriteByte(byte(n))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isHex(s string) bool {
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && (s[i] < 'a' || s[i] > 'f') {
			return false
		}
	}
	return s != ""
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
