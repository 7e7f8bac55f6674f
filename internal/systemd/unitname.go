package systemd

import (
	"fmt"

	"github.com/coreos/go-systemd/v22/unit"
)

// longestUnit is UNIT_NAME_MAX of systemd, less the zero byte (src/basic/unit-def.h).
const longestUnit = 255

// MountUnit returns the name that the .mount unit for a path must have (systemd.mount(5)).
func MountUnit(path string) (string, error) {
	for i := range len(path) {
		if path[i] < ' ' || path[i] == 0x7f {
			return "", fmt.Errorf("name a unit for %q: got a control character, want a path without", path)
		}
	}
	name := unit.UnitNamePathEscape(path) + ".mount"
	if len(name) > longestUnit {
		return "", fmt.Errorf("name a unit for %s: got %d bytes with what has to be escaped, want at most %d", path, len(name), longestUnit)
	}
	return name, nil
}
