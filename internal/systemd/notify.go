// Package systemd speaks to the service manager and to the journal.
package systemd

import (
	"fmt"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Managed reports whether there is a service manager to tell. Without one what follows does nothing.
func Managed() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// Ready tells the service manager that the process serves, or has reloaded (sd_notify(3)).
func Ready() error { return notify(daemon.SdNotifyReady) }

// Status replaces the line that `systemctl status` shows.
func Status(status string) error { return notify("STATUS=" + oneLine(status)) }

// Reloading tells that a reload has begun; Ready ends it.
func Reloading() error {
	return notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// Stopping tells that an orderly stop has begun.
func Stopping() error { return notify(daemon.SdNotifyStopping) }

// WatchdogInterval returns within which time Alive has to be called again and again (WatchdogSec=); 0 without a watchdog.
func WatchdogInterval() time.Duration {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0
	}
	return interval
}

// Alive tells that the process is making progress; without that for WatchdogInterval the manager kills and restarts it.
func Alive() error { return notify(daemon.SdNotifyWatchdog) }

func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}
