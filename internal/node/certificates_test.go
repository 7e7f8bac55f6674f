package node

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"ftfuse/internal/control"
)

// Own certificates are warned of in their last 14 days, and when they have expired.
func TestCertificatesThatExpireAreSaid(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for left, want := range map[time.Duration]string{
		14 * day:        "",
		14*day - 1:      "expires within 14 days",
		day + time.Hour: "expires within 2 days",
		time.Hour:       "expires within a day",
		0:               "has expired",
		-day:            "has expired",
	} {
		var said bytes.Buffer
		sayExpiring(slog.New(slog.NewTextHandler(&said, nil)), []control.Certificate{{File: "/x/host.crt", Identity: "web1", Expires: now.Add(left)}}, now)
		if got := said.String(); (want == "") != (got == "") || !strings.Contains(got, want) || want != "" && !strings.Contains(got, "notice=certificate_expiring file=/x/host.crt identity=web1") {
			t.Errorf("%v left: got %q, want %q", left, got, want)
		}
	}
}

// Patterns of identities are of names without case, of networks, and of unix.
func TestIdentitiesOfPeers(t *testing.T) {
	match := identities([]string{"Web*.example.net", "10.0.0.0/8", "fd00::/8", "unix", "spiffe://site/*"})
	for name, want := range map[string]bool{
		"web1.example.net": true, "WEB1.example.net": true, "db1.example.net": false, "10.1.2.3": true, "11.1.2.3": false, "fd00::1": true,
		"unix": true, "spiffe://site/web": true, "spiffe://site/web/1": false, "": false,
	} {
		if match(name) != want {
			t.Errorf("%q: got %v", name, !want)
		}
	}
}
