package config

import (
	"os"
	"strings"
	"testing"
)

// The examples of targets.md are to be used as they stand, with certificates.
func TestExamplesOfTargets(t *testing.T) {
	text, err := os.ReadFile("../../docs/targets.md")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	policies := map[string]bool{}
	flush := func() {
		if len(list) == 0 {
			return
		}
		_, name, _ := strings.Cut(list[0], "name: ")
		list = append(list, "        tls: {ca: /ca.pem, cert: /cert.pem, key: /key.pem}")
		c, report, err := LoadSender(Sources{Text: "rules: [{name: all, match: ['**'], targets: [" + name + "]}]\ntargets:\n" + strings.Join(list, "\n")})
		if err != nil {
			t.Fatalf("%v\n%s", err, strings.Join(list, "\n"))
		}
		for _, w := range report.Warnings {
			if strings.Contains(w.Text, "no effect") {
				t.Error(w)
			}
		}
		policies[c.Targets[0].Policy] = true
		list = nil
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "      - name:") || strings.HasPrefix(line, "        "):
			list = append(list, line)
		default:
			flush()
		}
	}
	flush()
	for _, p := range strings.Fields("failover balance hash broadcast only") {
		if !policies[p] {
			t.Errorf("targets.md has no example of policy %s", p)
		}
	}
}
