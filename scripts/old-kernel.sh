#!/bin/sh
# Runs bin/ftfuse on Debian's 6.1 kernel, which has neither passthrough nor RESEND, in an emulated machine: old-kernel.sh
# What a sender captures there, what happens when it is killed, and what a jump of the clock does to it. Takes minutes.
# Needs qemu-system-x86, busybox-static and cpio, and fetches the kernel's package with apt.
set -eu
cd "$(dirname "$0")/.."

fail() {
	echo "ftfuse: error: $1" >&2
	[ $# -lt 2 ] || echo "hint: $2" >&2
	exit 1
}

for program in qemu-system-x86_64 busybox cpio; do
	command -v $program >/dev/null || fail "no $program" "apt-get install qemu-system-x86 busybox-static cpio"
done
[ -x bin/ftfuse ] || fail "no bin/ftfuse" "make build"

work=$(mktemp -d "${TMPDIR:-/tmp}/ftfuse-old-kernel.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-6\.1/ { print $2; exit }')
[ -n "$kernel" ] || fail "no package of a 6.1 kernel in the apt sources" "run it on Debian 12"
(cd "$work" && apt-get download -qq "$kernel" 2>/dev/null && dpkg-deb -x "$kernel"_*.deb kernel) || fail "cannot fetch $kernel"
module=$(find "$work/kernel" -name fuse.ko)
[ -n "$module" ] || fail "$kernel has no fuse.ko"

root=$work/root
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/etc"
cp "$(command -v busybox)" "$root/bin/busybox"
cp bin/ftfuse "$root/bin/ftfuse"
cp "$module" "$root/fuse.ko"
echo 'root:x:0:0::/:/bin/sh' >"$root/etc/passwd"
cp scripts/old-kernel-init.sh "$root/init"
chmod 755 "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"

timeout 900 qemu-system-x86_64 -accel tcg -m 1024 -smp 2 -nographic -no-reboot \
	-kernel "$work/kernel/boot/vmlinuz-${kernel#linux-image-}" -initrd "$work/initrd" \
	-append "console=ttyS0 quiet panic=-1" </dev/null | tr -d '\r' | tee "$work/console"
grep -q '^old-kernel: all well$' "$work/console" || fail "not all went well on the old kernel" "the machine said what stands above"
