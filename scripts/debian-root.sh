#!/bin/sh
# Unpacks a bootable Debian root file system: debian-root.sh bookworm|trixie|rpm DIR ("rpm" is bookworm with rpm and dnf).
# It is made with the machine's own apt sources and kept, if that can be written, in FTFUSE_CACHE, by what goes into it.
# shellcheck disable=SC1091,SC2016 # $(REPO_URI) is for apt, $1 for the hook's shell
set -eu

fail() {
	echo "ftfuse: error: $1" >&2
	[ $# -lt 2 ] || echo "hint: $2" >&2
	exit 1
}

[ $# = 2 ] || fail "debian-root.sh: got $# arguments, want 2" "scripts/debian-root.sh bookworm DIR"
kind=$1 dir=$2

packages="systemd systemd-sysv libnss-systemd dbus util-linux mount iproute2 procps apt ca-certificates kmod"
case $kind in
bookworm | trixie)
	suite=$kind
	packages="$packages nginx-light python3 logrotate fuse3 adduser"
	;;
rpm)
	suite=bookworm
	packages="$packages rpm dnf"
	;;
*) fail "debian-root.sh: got root $kind, want bookworm, trixie or rpm" ;;
esac

# The sources of this machine's own release, with the wanted release in its place: "URI RELEASE COMPONENT" a line.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
sources=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
	awk -v own="$codename" -v want="$suite" '
		own != "" && ($2 == own || index($2, own "-") == 1) && $3 == "main" {
			sub("^" own, want, $2)
			print "deb", $1, $2, $3
		}' | sort -u)
[ -n "$sources" ] || fail "no apt source of a Debian release on this machine" "run the tests on Debian, with main in /etc/apt"

# Changes to the root have to change its key: this file is part of it.
key=$({ echo "$packages"; cat "$0"; } | sha256sum | cut -c1-12)
cache=${FTFUSE_CACHE:-/var/cache/ftfuse}
tar=$cache/root-$kind-$key.tar.zst

mkdir -p "$dir"
if [ ! -s "$tar" ]; then
	work=$(mktemp -d "${TMPDIR:-/tmp}/ftfuse-root.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	set --
	for option in $(apt-config dump --format '%F=%v%n' | grep -iE '^Acquire::https?::(Proxy|Timeout)=' || true); do
		set -- "$@" --aptopt="${option%%=*} \"${option#*=}\""
	done
	echo "$sources" | mmdebstrap --quiet --variant=minbase --mode=root --include="$(echo "$packages" | tr ' ' ,)" \
		--aptopt='Acquire::Languages "none"' "$@" \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/man/man*' \
		--customize-hook='systemctl --root="$1" mask console-getty.service nginx.service logrotate.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_reap.service fstrim.timer' \
		--customize-hook='mkdir -p "$1/var/log/journal"; : >"$1/etc/machine-id"; rm -f "$1/etc/hostname"; touch "$1/etc/.updated" "$1/var/.updated"' \
		"$suite" "$work/root.tar" || fail "mmdebstrap could not make the root of $kind" "see above; are the apt sources of this machine reachable?"
	zstd -q -3 -T0 "$work/root.tar" -o "$work/root.tar.zst"
	if mkdir -p "$cache" 2>/dev/null && cp "$work/root.tar.zst" "$tar.$$" 2>/dev/null; then
		mv "$tar.$$" "$tar"
	else
		tar=$work/root.tar.zst
	fi
fi
tar -C "$dir" --zstd --numeric-owner --xattrs -xpf "$tar"
