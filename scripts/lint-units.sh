#!/bin/sh
# Lets systemd judge the units in systemd/ as if they were installed. It only warns about unknown keys and
# leaves with 0, so any output is a failure.
set -eu
cd "$(dirname "$0")/.."

units=$(find systemd -type f \( -name '*.service' -o -name '*.socket' -o -name '*.mount' -o -name '*.target' -o \
	-name '*.path' -o -name '*.timer' -o -name '*.slice' \) | sort)
if [ -z "$units" ]; then
	exit 0
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/usr/lib/systemd" "$root/etc/systemd/system" "$root/usr/bin" "$root/usr/sbin" "$root/bin"
cp -a /usr/lib/systemd/system "$root/usr/lib/systemd/"
for program in ftfuse mount.fuse.ftfuse mount.ftfuse; do
	for dir in usr/bin usr/sbin; do
		cp /bin/true "$root/$dir/$program"
	done
done
cp /bin/true "$root/bin/kill"

names=
for u in $units; do
	cp "$u" "$root/etc/systemd/system/"
	names="$names ${u##*/}"
done
# Instances stand for templates; the names hold no blanks.
names=$(echo "$names" | sed 's/@\./@instance./g')
# shellcheck disable=SC2086
said=$(systemd-analyze verify --man=no --root="$root" $names 2>&1) || {
	echo "$said" >&2
	exit 1
}
if [ -n "$said" ]; then
	echo "$said" >&2
	exit 1
fi
