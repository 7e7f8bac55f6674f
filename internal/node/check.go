package node

import (
	"fmt"

	"ftfuse/internal/config"
	"ftfuse/internal/filter"
	"ftfuse/internal/format"
	"ftfuse/internal/output"
	"ftfuse/internal/secure"
)

// Mistake is something wrong with a configuration that only those can see who work by it.
type Mistake struct {
	Key  string // as in outputs[files]
	Text string
	Hint string

	Doubt bool // it can be used
}

// CheckSender has filters, outputs and plug-ins judge what is for them.
func CheckSender(cfg *config.Sender) (all []Mistake) {
	for _, r := range cfg.Rules {
		all = append(all, checkFilters("rules["+r.Name+"]", filterOptions(r.Filters, r.Otherwise, r.Sample, r.Targets, cfg.Patterns))...)
	}
	all = append(all, checkTargetsTLS(cfg.Targets)...)
	return append(all, checkOutputs(cfg.Outputs)...)
}

// CheckReceiver is CheckSender for a receiver.
func CheckReceiver(cfg *config.Receiver) (all []Mistake) {
	for _, r := range cfg.Rules {
		all = append(all, checkFilters("rules["+r.Name+"]", filterOptions(r.Filters, r.Otherwise, r.Sample, r.Outputs, cfg.Patterns))...)
	}
	all = append(all, checkTLS("tls", cfg.TLS, secure.Listens)...)
	all = append(all, checkTargetsTLS(cfg.Targets)...)
	return append(all, checkOutputs(cfg.Outputs)...)
}

func checkFilters(at string, o filter.Options) (all []Mistake) {
	for _, p := range filter.Check(o) {
		key := at
		switch p.List {
		case "filters":
			key = fmt.Sprintf("%s.filters[%d]", at, p.Index+1)
		case "patterns":
			key = "patterns[" + o.Patterns[p.Index].Name + "]"
		}
		if p.Key != "" {
			key += "." + p.Key
		}
		all = append(all, Mistake{Key: key, Text: p.Text, Hint: p.Hint})
	}
	return all
}

func checkOutputs(outputs []config.Output) (all []Mistake) {
	for _, c := range outputs {
		if c.Type != "journal" {
			all = append(all, checkOutput("outputs["+c.Name+"]", c)...)
		}
	}
	return all
}

// checkOutput tries the parts of an output one by one, to name the key that is wrong.
func checkOutput(at string, c config.Output) (all []Mistake) {
	say := func(key string, err error, hint string) {
		if err != nil {
			all = append(all, Mistake{Key: at + key, Text: err.Error(), Hint: hint})
		}
	}
	zone, err := config.Zone(c.TimeZone)
	if say(".time_zone", err, "write local, UTC, or a name as in Europe/Berlin"); err != nil {
		return all
	}
	form := format.Options{Format: c.Format, Template: c.Template, Location: zone}
	_, err = format.New(form)
	say(".template", err, "`{{` is a brace and `%%` a percent sign, where they stand for themselves")
	form.Template, form.TimeFormat = "%T", c.TimeFormat
	_, err = format.New(form)
	say(".time_format", err, "as in %Y-%m-%dT%H:%M:%S%z")
	if c.Type == "file" {
		err = output.Validate(output.Options{Path: c.Path, Location: zone, Rotate: output.Rotate{Compress: c.Rotate.Compress}})
		say(".path", err, "as in {host}/{path}, or {host}/{date:%Y-%m-%d}/{name}")
		_, err = OutputOptions(c)
	} else {
		_, err = pluginOptions(c, nil)
	}
	if len(all) == 0 {
		say("", err, "")
	}
	return all
}
