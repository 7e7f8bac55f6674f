#!/bin/sh
# Lets systemd judge the units in systemd/ as if they were installed, and holds the services to their exposure.
set -eu
cd "$(dirname "$0")/.."

# The most that `systemd-analyze security` may say of each service; docs/security.md explains what is left.
exposures="ftfuse-receiver.service 1.2
ftfuse-broker.service 0.7
ftfuse-sender.service 2.2"

fail() {
	echo "ftfuse: error: $1" >&2
	exit 1
}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/usr/lib/systemd" "$root/etc/systemd/system"
cp -a /usr/lib/systemd/system "$root/usr/lib/systemd/"
ln -s usr/bin usr/sbin "$root/"

names=
for unit in systemd/*.service systemd/*.socket systemd/*.mount; do
	cp "$unit" "$root/etc/systemd/system/"
	names="$names ${unit##*/}"
	# Every program that a unit names.
	sed -n 's/^Exec[A-Za-z]*=[-+!:@]*\(\/[^ ]*\).*/\1/p' "$unit" | while read -r program; do
		mkdir -p "$root/$(dirname "$program")"
		cp /bin/true "$root/$program"
	done
done

# It only warns about unknown keys and leaves with 0, so any output is a failure.
# shellcheck disable=SC2086
said=$(systemd-analyze verify --man=no --root="$root" $names 2>&1) || fail "$said"
[ -z "$said" ] || fail "$said"

for unit in systemd/*.service; do
	name=${unit##*/}
	limit=$(echo "$exposures" | sed -n "s/^$name //p")
	[ -n "$limit" ] || fail "$name: has no limit of exposure in $0"
	# --threshold wants tenths, and fails above it.
	systemd-analyze security --offline=yes --threshold="$(echo "$limit" | sed 's/\.//; s/^0//')" "$unit" >"$root/said" 2>&1 ||
		fail "$(grep '✗' "$root/said")
$(tail -n 1 "$root/said"), want at most $limit"
done
