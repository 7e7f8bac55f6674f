package node

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"ftfuse/internal/control"
	"ftfuse/internal/notice"
)

const (
	expirySoon  = 14 * 24 * time.Hour // before its end a certificate is worth a warning
	expiryEvery = 24 * time.Hour      // between the warnings
)

// watchCertificates warns of own certificates that expire soon, now and each day, until ctx ends.
func watchCertificates(ctx context.Context, log *slog.Logger, list func() []control.Certificate) error {
	for {
		sayExpiring(log, list(), time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(expiryEvery):
		}
	}
}

func sayExpiring(log *slog.Logger, list []control.Certificate, now time.Time) {
	for _, c := range list {
		left := c.Expires.Sub(now)
		if left >= expirySoon {
			continue
		}
		text := "own certificate expires within a day: then nobody takes it"
		if days := int(left / (24 * time.Hour)); days > 0 {
			text = fmt.Sprintf("own certificate expires within %d days: then nobody takes it", days+1)
		}
		if left <= 0 {
			text = "own certificate has expired: nobody takes it"
		}
		log.Warn(text, notice.CertificateExpiring, "file", c.File, "identity", c.Identity, "expires", c.Expires.UTC().Format(time.RFC3339),
			"hint", "issue a new one into the same files, then `ftfuse reload`")
	}
}
