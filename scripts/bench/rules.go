package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What one line in a hundred holds for the rule that redacts, and what the receiver gets of it: as many bytes.
const (
	secretText = " password=opensesame "
	hiddenText = " password=********** "
)

// A kind of file of the rules' part, by the rule that its name picks.
var kinds = []struct{ suffix, name, arrives string }{
	{".log", "none", secretText},
	{".misses", "10 filters that miss", secretText},
	{".redacts", "a redaction of 1 % of the lines", hiddenText},
}

// ruleYAML is the rules by which rig's mount log treats the files of kinds.
const ruleYAML = `  - name: misses
    match: ["*.misses"]
    mounts: [log]
    capture: auto
    filters:
      - {action: deny, contains: "DEBUG: "}
      - {action: deny, contains: "healthcheck"}
      - {action: deny, contains: "GET /favicon.ico"}
      - {action: deny, contains: "kube-probe"}
      - {action: deny, contains: "deprecated"}
      - {action: deny, match: "status=(2|3)\\d\\d"}
      - {action: deny, match: "(?i)trace\\s+id"}
      - {action: deny, match: "took [0-9]+ ms"}
      - {action: deny, match: "(ping|pong) from \\S+"}
      - {action: deny, match: "user [a-z]+ logged (in|out)"}
  - name: redacts
    match: ["*.redacts"]
    mounts: [log]
    capture: auto
    filters:
      - {action: redact, redact: [password], with: "**********"}
`

// ruleCost measures the transfer of transfer.go with and without rules on the way, in turn in every round.
func ruleCost(ctx context.Context, o options, t tools, rep *report) (err error) {
	r, err := newRig(ctx, t, o.memory, ruleYAML)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	const size = 128
	count := int(o.bytes) / size
	file := filepath.Join(r.dir, "source")
	if err := newMarked(size, secretText).save(file, count); err != nil {
		return err
	}
	found := make([]moved, len(kinds))
	for round := range o.rounds {
		for i, k := range kinds {
			name := fmt.Sprintf("%d%s", round, k.suffix)
			if err := found[i].once(ctx, r, file, name, newMarked(size, k.arrives), count); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
		progress("rules: round %d of %d", round+1, o.rounds)
	}
	tab := table{
		title: "Rules on the way: cat >> of lines of 128 bytes, on tmpfs",
		head:  []string{"filters", "lines/s", "MB/s", "x none", "sender CPU s/GB", "receiver CPU s/GB"},
		note: fmt.Sprintf("Medians of %d rounds of %d MiB each, in turn, otherwise as end to end above. Of the filters that miss half are "+
			"texts and half are expressions. What was redacted is compared, too.", o.rounds, o.bytes>>20),
	}
	gb := float64(size) * float64(count) / 1e9
	none := median(found[0].seconds)
	for i, k := range kinds {
		s := median(found[i].seconds)
		tab.add(k.name, number(float64(count)/s), number(gb*1e3/s), fmt.Sprintf("%.2f", none/s), fmt.Sprintf("%.2f", median(found[i].sender)/gb),
			fmt.Sprintf("%.2f", median(found[i].receiver)/gb))
	}
	return rep.add(tab)
}

// moved is what runs end to end took: by the clock, and processor time of both daemons.
type moved struct{ seconds, sender, receiver []float64 }

// once lets cat append the source to a file of the rig, and adds what it took until all had arrived.
func (m *moved) once(ctx context.Context, r *rig, from, name string, want *lines, count int) error {
	s1, r1, err := r.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := cat(ctx, from, r.path(autoMount, name), os.O_APPEND); err != nil {
		return err
	}
	end, err := r.arrived(ctx, name, int64(want.size)*int64(count))
	if err != nil {
		return err
	}
	s2, r2, err := r.cpu()
	if err != nil {
		return err
	}
	m.seconds = append(m.seconds, end.Sub(begin).Seconds())
	m.sender, m.receiver = append(m.sender, s2-s1), append(m.receiver, r2-r1)
	return errors.Join(want.verify(r.path(outputDir, name), count), r.forget(autoMount, name))
}

// newMarked makes lines of which one in a hundred holds a text behind its number.
func newMarked(size int, text string) *lines {
	l := newLines(size)
	l.mark, l.blank = text, strings.Repeat("x", len(text))
	return l
}
