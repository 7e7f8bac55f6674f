package control

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestCertificatesInStatus(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	s := Status{Role: "sender", Now: now, Since: now, Certificates: []Certificate{
		{Target: "main", File: "/x/a.crt", Identity: "web1", Expires: now.Add(90*24*time.Hour + time.Minute)},
		{Target: "soon", File: "/x/b.crt", Identity: "web1", Expires: now.Add(24*time.Hour + time.Minute)},
		{Target: "late", File: "/x/c.crt", Identity: "web1", Expires: now.Add(-time.Minute)},
	}, Sender: &SenderStatus{Targets: []TargetStatus{{Name: "main"}}, Peers: []PeerStatus{{Target: "main", Address: "logs:1", TLS: true, Identity: "logs.example.net", State: "connected"}}}}
	var b bytes.Buffer
	if err := s.Print(&b, Style{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"certificate for target main: web1, valid for 90 days\n", "target soon: web1, valid for 1 day: renew /x/b.crt and reload\n",
		"target late: web1, has expired: renew /x/c.crt and reload\n", "logs:1  TLS logs.example.net\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}
