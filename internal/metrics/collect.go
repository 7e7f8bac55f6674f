package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"ftfuse/internal/control"
)

// collector makes metrics of a status at the moment somebody asks; it keeps nothing.
type collector struct {
	status func() control.Status
	rows   []row
}

type row struct {
	Metric
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newCollector(role Role, status func() control.Status) *collector {
	c := &collector{status: status}
	for _, m := range Table() {
		if m.Role != role && m.Role != Both {
			continue
		}
		kind := prometheus.GaugeValue
		if m.Kind == Counter {
			kind = prometheus.CounterValue
		}
		c.rows = append(c.rows, row{m, prometheus.NewDesc(m.Name, m.Help, m.Labels, nil), kind})
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, r := range c.rows {
		out <- r.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.status()
	for _, r := range c.rows {
		r.read(&s, func(value float64, labels ...string) {
			m, err := prometheus.NewConstMetric(r.desc, r.kind, value, labels...)
			if err != nil { // a mistake in the table: whoever asks is told, the process goes on
				m = prometheus.NewInvalidMetric(r.desc, err)
			}
			out <- m
		})
	}
}
