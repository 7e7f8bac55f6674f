#!/bin/busybox sh
# shellcheck shell=dash
# PID 1 of the machine that scripts/old-kernel.sh boots: says "old-kernel: all well" at the end, or what was not.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
ip link set lo up

end() {
	echo "old-kernel: $1"
	[ "$1" = "all well" ] || tail -n 40 /tmp/*.log
	sync
	poweroff -f
}

# wait_for WHAT COMMAND...: until it succeeds.
wait_for() {
	what=$1 n=0
	shift
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		[ $n -lt 600 ] || end "no $what"
		sleep 0.1
	done
	echo "old-kernel: $what"
}

lines() { [ "$(wc -l <"/tmp/received/old/$1")" -eq "$2" ]; }
served() { grep -q ' /tmp/log fuse.ftfuse ' /proc/mounts && ls /tmp/log; }

sender='' receiver=''
start() { # ROLE
	ftfuse "$1" --config "/tmp/$1.yaml" >>"/tmp/$1.log" 2>&1 &
	eval "$1=$!"
}

insmod /fuse.ko || end "fuse.ko does not load"
echo "old-kernel: kernel $(uname -r)"
mkdir -p /tmp/log /tmp/received
cat >/tmp/receiver.yaml <<-YAML
	state_dir: /tmp/receiver
	control: {socket: /tmp/receiver.sock}
	outputs:
	  - {name: files, base: /tmp/received}
YAML
cat >/tmp/sender.yaml <<-YAML
	host: old
	state_dir: /tmp/sender
	control: {socket: /tmp/sender.sock}
	mounts:
	  - {name: log, path: /tmp/log}
	queue: {min_free: 0}
	targets:
	  - {name: default, address: "127.0.0.1:24747", backoff: {min: 10ms, max: 200ms}}
YAML

start receiver
start sender
wait_for "mount" served

# Write capture is all there is; a writer that keeps its file open, and one that does not.
i=0
while [ $i -lt 200 ]; do
	echo "line $i" >>/tmp/log/short.log || end "a write failed"
	i=$((i + 1))
done
seq 1 2000 >/tmp/log/long.log || end "a write failed"
wait_for "200 lines of short opens" lines short.log 200
wait_for "2000 lines of one open" lines long.log 2000
ftfuse status --config /tmp/sender.yaml --role sender | cat
ftfuse explain --config /tmp/sender.yaml /tmp/log/long.log

# A crash, and another sender over the dead mount.
kill -9 "$sender"
wait "$sender" 2>/dev/null
! ls /tmp/log 2>/dev/null || end "a dead mount is listed"
start sender
wait_for "mount after the crash" served
echo "after the crash" >>/tmp/log/short.log || end "a write failed after the crash"
wait_for "the line after the crash" lines short.log 201

# The clock goes a day forth, then two back.
for jump in 86400 -172800; do
	date -s "@$(($(date +%s) + jump))" >/dev/null
	echo "after a jump of $jump s" >>/tmp/log/clock.log || end "a write failed after a jump"
done
wait_for "the lines after jumps of the clock" lines clock.log 2
kill "$sender"
wait "$sender" || end "the sender ended with $?"
kill "$receiver"
wait "$receiver" || end "the receiver ended with $?"
end "all well"
