#!/bin/sh
# Installs the Debian packages that the tests and checks use and that are not there yet. Needs root only if some are missing.
set -eu

packages="ca-certificates curl e2fsprogs gcc git iproute2 jq libc6-dev lintian logrotate make man-db mmdebstrap nginx-light
	procps python3 rpm rpmlint rsyslog shellcheck systemd systemd-container util-linux xz-utils zstd"

missing=
for p in $packages; do
	case "$(dpkg-query -W -f '${Status}' "$p" 2>/dev/null || true)" in
	"install ok installed") ;;
	*) missing="$missing $p" ;;
	esac
done

if [ -n "$missing" ]; then
	echo "installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	# RUNLEVEL=1 keeps the maintainer scripts from starting what they install.
	# shellcheck disable=SC2086
	RUNLEVEL=1 apt-get install -qq -y --no-install-recommends $missing >/dev/null ||
		{ apt-get update -qq && RUNLEVEL=1 apt-get install -qq -y --no-install-recommends $missing >/dev/null; }
fi

if ! command -v go >/dev/null; then
	echo "ftfuse: error: no Go toolchain found" >&2
	echo "hint: install Go 1.26 or newer and put it into PATH" >&2
	exit 1
fi
