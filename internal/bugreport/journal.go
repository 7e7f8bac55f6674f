package bugreport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const journalLines = 1000

// ourselves are the identifiers of our own programs in the journal, and of those that run them. Everything else that our
// units write there is captured: an output can write to the journal too.
var ourselves = []string{"ftfuse", "ftfuse-broker", "mount.ftfuse", "mount.fuse.ftfuse", "mount", "umount", "systemd"}

// foreign are fields that every captured entry has, or every line of a plug-in, and no message of ours: a file or a plug-in
// can be called as we are.
var foreign = []string{"FTFUSE_CLOCK", "FTFUSE_PLUGIN_PID"}

// Journal returns the last lines of the journal about units: our programs' own, and the service manager's about them.
func Journal(units []string) func(context.Context) ([]byte, error) {
	args := []string{"--no-pager", "--quiet", "--output=json", "--lines=" + strconv.Itoa(journalLines)}
	for i, u := range units {
		if i > 0 {
			args = append(args, "+")
		}
		args = append(args, "_SYSTEMD_UNIT="+u, "+", "UNIT="+u, "_PID=1")
	}
	return func(ctx context.Context) ([]byte, error) {
		if len(units) == 0 {
			return nil, errors.New("no units")
		}
		raw, err := Command("journalctl", args...)(ctx)
		text, skipped := readable(raw)
		if skipped > 0 {
			text = fmt.Appendf(text, "%d lines that are not of ours were left out\n", skipped)
		}
		return text, err
	}
}

// readable turns the journal's JSON (one object a line; a field that is no UTF-8 is a list of numbers) into lines.
func readable(raw []byte) (text []byte, skipped int) {
	for line := range bytes.Lines(raw) {
		var e map[string]any
		if json.Unmarshal(line, &e) != nil {
			skipped++
			continue
		}
		field := func(name string) string { s, _ := e[name].(string); return s }
		others := slices.ContainsFunc(foreign, func(name string) bool { return e[name] != nil })
		if others || !slices.Contains(ourselves, field("SYSLOG_IDENTIFIER")) {
			skipped++
			continue
		}
		at := field("__REALTIME_TIMESTAMP")
		if us, err := strconv.ParseInt(at, 10, 64); err == nil {
			at = time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05.000Z")
		}
		text = fmt.Appendf(text, "%s %s[%s] <%s> %s", at, field("SYSLOG_IDENTIFIER"), field("_PID"), field("PRIORITY"),
			strings.ReplaceAll(field("MESSAGE"), "\n", "\n    "))
		if id := field("MESSAGE_ID"); id != "" && field("SYSLOG_IDENTIFIER") != "systemd" {
			text = append(text, " ("+id+")"...)
		}
		text = append(text, '\n')
	}
	return text, skipped
}
