package node

import (
	"context"
	"log/slog"
	"net"
	"os"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/metrics"
	"ftfuse/internal/notice"
)

// metricsSockets takes the inherited sockets for metrics, and makes the one that is configured; a socket file is for
// whom the control socket is for. Data is worth more than figures about it: without the socket the node goes on.
func (in *Inherited) metricsSockets(listen string, c config.Control, log *slog.Logger) []net.Listener {
	list := in.Metrics
	in.Metrics = nil
	if listen == "" {
		return list
	}
	var l net.Listener
	network, address := config.Network(listen)
	var err error
	if network == "unix" {
		l, err = control.Listen(control.Socket{Path: address, Mode: os.FileMode(c.Mode), GID: int(c.Group)})
	} else {
		l, err = net.Listen(network, address)
	}
	if err != nil {
		log.Error("no metrics: cannot listen for them", notice.MetricsOff, "metrics.listen", listen, "error", err)
		return list
	}
	return append(list, l)
}

// serveMetrics starts a part for each socket.
func serveMetrics(parts *stages, list []net.Listener, role metrics.Role, status func() control.Status, log *slog.Logger) {
	for _, l := range list {
		parts.start("metrics on "+l.Addr().String(), func(ctx context.Context) error {
			return metrics.Serve(ctx, l, metrics.Options{Role: role, Status: status, Logger: log.With("part", "metrics")})
		})
	}
}
