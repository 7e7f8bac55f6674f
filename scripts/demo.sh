#!/bin/sh
# Shows a program's log lines on their way: mounts a temporary directory, lets nginx (or a shell loop where there is
# none) write into it, prints what arrives at the receiver with its attributes, then the counters. Leaves nothing behind.
set -u
cd "$(dirname "$0")/.." || exit 1

fail() {
	echo "ftfuse: error: $1" >&2
	[ $# -lt 2 ] || echo "hint: $2" >&2
	exit 1
}

[ "$(id -u)" = 0 ] || fail "the demo mounts a file system and needs root" "sudo make demo"
[ -c /dev/fuse ] || fail "no /dev/fuse" "modprobe fuse"
[ -x bin/ftfuse ] || fail "no bin/ftfuse" "make build"

dir=$(mktemp -d /tmp/ftfuse-demo.XXXXXX) || exit 1
ftfuse=$PWD/bin/ftfuse
log=$dir/log
arrived=$dir/received/all.json
port=$((20000 + $$ % 10000)) # below the range that the kernel gives to clients
sender='' receiver='' nginx='' tail=''

# stop PID: ends one program of the demo and waits, by force after five seconds.
stop() {
	[ -n "$1" ] || return 0
	kill "$1" 2>/dev/null
	n=0
	while kill -0 "$1" 2>/dev/null && [ $n -lt 50 ]; do
		sleep 0.1
		n=$((n + 1))
	done
	kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

cleanup() {
	trap '' INT TERM
	stop "$tail"
	stop "$nginx"
	stop "$sender"
	stop "$receiver"
	if mountpoint -q "$log" 2>/dev/null; then
		umount -l "$log"
	fi
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# await WHAT PROGRAM PID COMMAND...: until the command succeeds, as long as the program runs, five seconds at most.
await() {
	what=$1 program=$2 pid=$3
	shift 3
	limit=$(($(date +%s) + 5))
	until "$@" >/dev/null 2>&1; do
		if ! kill -0 "$pid" 2>/dev/null || [ "$(date +%s)" -gt "$limit" ]; then
			cat "$dir/$program.log" >&2
			fail "no $what; the $program said what stands above"
		fi
		sleep 0.1
	done
}

lines() { [ -f "$arrived" ] && [ "$(wc -l <"$arrived")" -ge "$1" ]; }

say() { printf '\n\033[1m%s\033[0m\n' "$1"; }
[ -t 1 ] || say() { printf '\n%s\n' "$1"; }

mkdir "$log" "$dir/received"
cat >"$dir/receiver.yaml" <<EOF
state_dir: $dir/receiver
control: {socket: $dir/receiver.sock}
listen: ["127.0.0.1:$port"]
outputs:
  - {name: all, base: $dir/received, path: all.json, format: json}
EOF
cat >"$dir/sender.yaml" <<EOF
state_dir: $dir/sender
control: {socket: $dir/sender.sock}
mounts:
  - {name: demo, path: $log}
queue: {max_size: 256MiB, min_free: 0}
targets:
  - {name: default, address: "127.0.0.1:$port"}
EOF

# setsid: Ctrl-C reaches this script only, which then stops the programs in order.
say "A receiver that writes JSON, and a sender that mounts $log"
setsid "$ftfuse" receiver --config "$dir/receiver.yaml" >"$dir/receiver.log" 2>&1 &
receiver=$!
await "receiver" receiver "$receiver" "$ftfuse" status --config "$dir/receiver.yaml" --role receiver
setsid "$ftfuse" sender --config "$dir/sender.yaml" >"$dir/sender.log" 2>&1 &
sender=$!
await "mount at $log" sender "$sender" mountpoint -q "$log"
echo "ready"

wanted=8
if command -v nginx >/dev/null && command -v curl >/dev/null; then
	say "nginx logs into it; six requests"
	cat >"$dir/nginx.conf" <<EOF
daemon off;
pid $dir/nginx.pid;
error_log $dir/nginx.log warn;
events {}
http {
	access_log $log/access.log;
	client_body_temp_path $dir/nginx.tmp;
	proxy_temp_path $dir/nginx.tmp;
	fastcgi_temp_path $dir/nginx.tmp;
	uwsgi_temp_path $dir/nginx.tmp;
	scgi_temp_path $dir/nginx.tmp;
	server {
		listen unix:$dir/nginx.sock;
		location / { return 200 "hello\n"; }
	}
}
EOF
	setsid nginx -c "$dir/nginx.conf" >>"$dir/nginx.log" 2>&1 &
	nginx=$!
	await "nginx" nginx "$nginx" test -S "$dir/nginx.sock"
	for page in / /one /two /three /four /five; do
		curl -s -o "$dir/page" --unix-socket "$dir/nginx.sock" "http://demo$page" || fail "nginx did not answer"
	done
	stop "$nginx"
	nginx=''
else
	say "No nginx here: a shell loop writes six lines"
	sh -c "for i in 1 2 3 4 5 6; do echo \"line \$i of the loop\"; done >>'$log/access.log'"
fi

say "Two more writers: a shell that appends, and a program that truncates first"
sh -c "echo 'appended by a shell' >>'$log/app.log'"
dd if=/dev/stdin of="$log/dd.log" status=none <<EOF
written by dd
EOF

say "What arrived (open capture names the opener, write capture the thread):"
tail -n +1 -F "$arrived" 2>/dev/null &
tail=$!
await "$wanted lines at the receiver" sender "$sender" lines "$wanted"
sleep 0.5 # for the eye: tail prints what it has
stop "$tail"
tail=''
got=$(wc -l <"$arrived")
[ "$got" -eq "$wanted" ] || fail "got $got lines, want $wanted"

say "The sender's counters"
"$ftfuse" status --config "$dir/sender.yaml" --role sender || fail "no status"
say "The receiver's counters"
"$ftfuse" status --config "$dir/receiver.yaml" --role receiver || fail "no status"
say "$got lines written, $got arrived, each once; everything is cleaned up now"
