#!/bin/sh
# Packs the binaries with their configuration, units and documents: package.sh VERSION.
set -eu
cd "$(dirname "$0")/.."
name=ftfuse-$1-linux-$(go env GOARCH)

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$stage/$name" dist
for part in bin etc systemd docs README.md LICENSE; do
	if [ -e "$part" ]; then
		cp -a "$part" "$stage/$name/"
	fi
done
tar -C "$stage" --sort=name --owner=0 --group=0 --numeric-owner -czf "dist/$name.tar.gz" "$name"
echo "dist/$name.tar.gz"
