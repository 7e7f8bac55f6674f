// Package metrics serves what `ftfuse status` knows to Prometheus, and a verdict on it to health checks, over HTTP.
package metrics

import (
	"runtime"

	"ftfuse/internal/control"
)

// Kind is the type of a metric, as Prometheus names it.
type Kind string

// The kinds. What happens over time is a counter; there are no histograms, as status keeps none.
const (
	Counter Kind = "counter"
	Gauge   Kind = "gauge"
)

// Role says which processes have a metric.
type Role string

// The roles.
const (
	Both     Role = "both"
	Sender   Role = "sender"
	Receiver Role = "receiver"
)

// Metric is one row of the table: what a metric is called and means, and how its values follow from a status.
// Values of labels come from the configuration or from lists in the code: never paths, process ids, or what peers say.
type Metric struct {
	Name   string
	Kind   Kind
	Role   Role
	Labels []string
	Help   string

	read func(s *control.Status, put put)
}

// put takes a value with the values of its labels, in the order of Labels.
type put func(value float64, labels ...string)

// Table lists every metric that ftfuse has of its own, in the order of the documentation.
func Table() []Metric {
	var all []Metric
	for _, part := range [][]Metric{common, flows, waiting, targets, outputs, plugins, spools, mounts, intake} {
		all = append(all, part...)
	}
	return all
}

var common = []Metric{
	{"ftfuse_build_info", Gauge, Both, []string{"role", "version", "go_version"}, "Always 1; the labels say what runs.",
		func(s *control.Status, put put) { put(1, s.Role, s.Version, runtime.Version()) }},
	{"ftfuse_healthy", Gauge, Both, nil, "1 while /healthz answers 200, else 0.",
		func(s *control.Status, put put) { put(yes(len(s.Unhealthy) == 0)) }},
	{"ftfuse_certificate_expires_timestamp_seconds", Gauge, Both, []string{"target"}, "When an own certificate expires; target is empty for that which a receiver shows to senders.",
		func(s *control.Status, put put) {
			for _, c := range s.Certificates {
				put(float64(c.Expires.Unix()), c.Target)
			}
		}},
}

// yes returns the value of a metric that says yes or no.
func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
