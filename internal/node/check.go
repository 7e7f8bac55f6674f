package node

import (
	"errors"
	"fmt"

	"ftfuse/internal/config"
	"ftfuse/internal/filter"
	"ftfuse/internal/output"
)

// Mistake is something wrong with a configuration that only those can see who work by it.
type Mistake struct {
	Key  string // as in outputs[files]
	Text string
	Hint string
}

// CheckSender has filters, outputs and plug-ins judge what is for them.
func CheckSender(cfg *config.Sender) (all []Mistake) {
	for _, r := range cfg.Rules {
		all = append(all, checkFilters("rules["+r.Name+"]", filterOptions(r.Filters, r.Otherwise, r.Sample, r.Targets, cfg.Patterns))...)
	}
	return append(all, checkOutputs(cfg.Outputs)...)
}

// CheckReceiver is CheckSender for a receiver.
func CheckReceiver(cfg *config.Receiver) (all []Mistake) {
	for _, r := range cfg.Rules {
		all = append(all, checkFilters("rules["+r.Name+"]", filterOptions(r.Filters, r.Otherwise, r.Sample, r.Outputs, cfg.Patterns))...)
	}
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
		all = append(all, Mistake{key, p.Text, p.Hint})
	}
	return all
}

func checkOutputs(outputs []config.Output) (all []Mistake) {
	for _, c := range outputs {
		var err error
		switch c.Type {
		case "file":
			err = checkFiles(c)
		case "plugin":
			err = checkPlugin(c)
		}
		if err != nil {
			all = append(all, Mistake{Key: "outputs[" + c.Name + "]", Text: err.Error()})
		}
	}
	return all
}

func checkFiles(c config.Output) error {
	o, err := OutputOptions(c)
	return errors.Join(err, output.Validate(o))
}

func checkPlugin(c config.Output) error {
	_, err := pluginOptions(c, nil)
	return err
}
