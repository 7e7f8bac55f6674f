package node

import (
	"log/slog"
	"strings"
	"testing"

	"ftfuse/internal/control"
)

// What is wrong is said once when it begins and once when it ends, whatever figures its text has meanwhile.
func TestTurnsAreSaidOnce(t *testing.T) {
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	away := func(text string) control.Reason {
		return control.Reason{Code: control.TargetUnreachable, Subject: "main", Text: text}
	}
	filling := control.Reason{Code: control.QueueFilling, Text: "95 % of the queue are used"}
	var before []control.Reason
	for _, now := range [][]control.Reason{nil, {away("for 1m")}, {away("for 2m"), filling}, {filling}, nil} {
		sayTurns(log, before, now)
		before = now
	}
	want := `level=ERROR msg="for 1m" notice=receiver_unreachable subject=main
level=WARN msg="95 % of the queue are used" notice=queue_filling subject=""
level=INFO msg="no more: for 2m" was=target_unreachable subject=main
level=INFO msg="no more: 95 % of the queue are used" was=queue_filling subject=""
`
	if text.String() != want {
		t.Errorf("got\n%swant\n%s", text.String(), want)
	}
	for _, code := range []string{control.MountNotServed, control.TargetUnreachable, control.TargetStalled, control.QueueFilling,
		control.QueueFull, control.Dropping, control.OutputFailing} {
		if notices[code].Key == "" {
			t.Errorf("%s has no notice", code)
		}
	}
}
