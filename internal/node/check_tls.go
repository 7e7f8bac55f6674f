package node

import (
	"errors"
	"fmt"
	"time"

	"ftfuse/internal/config"
	"ftfuse/internal/secure"
)

// checkTLS reads certificates as they are now.
func checkTLS(at string, files config.TLS, side secure.Side) (all []Mistake) {
	if !files.On() {
		return nil
	}
	c := credentials(files, side)
	_, err := c.Reload()
	var wrong *secure.Mistake
	switch {
	case errors.As(err, &wrong):
		return []Mistake{{Key: at + "." + wrong.Part, Text: wrong.File + ": " + wrong.Text, Hint: wrong.Hint}}
	case err != nil:
		return []Mistake{{Key: at, Text: err.Error()}}
	}
	if doubt := c.Doubt(); doubt != "" {
		all = append(all, Mistake{Key: at + ".cert", Text: doubt, Hint: "if it is meant so, the other side's ca must have that authority", Doubt: true})
	}
	if who, expires, ok := c.Own(); ok && time.Until(expires) < expirySoon {
		all = append(all, Mistake{Key: at + ".cert", Text: fmt.Sprintf("%s: expires on %s: then nobody takes it", c.File(), expires.UTC().Format("2006-01-02 15:04 UTC")),
			Hint: "`ftfuse certs issue " + who.Name + " --force` makes a new one", Doubt: true})
	}
	return all
}

// checkTargetsTLS only doubts: a sender starts also when no receiver can be reached, as programs must be able to write.
func checkTargetsTLS(targets []config.Target) (all []Mistake) {
	for _, t := range targets {
		for _, m := range checkTLS("targets["+t.Name+"].tls", t.TLS.Files(), secure.Dials) {
			m.Doubt = true
			all = append(all, m)
		}
	}
	return all
}
