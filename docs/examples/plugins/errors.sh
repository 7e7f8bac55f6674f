#!/bin/sh
# Sends a message for lines with ERROR, at most one in INTERVAL seconds, with how many there were. FTFUSE_FORMAT: raw.
#   command: [/usr/local/lib/ftfuse/errors.sh, logger, -p, daemon.crit]
#   environment: [INTERVAL=60]
# The arguments are the program that sends; the message is its last argument. What is not sent yet is sent at the end.
set -eu
n=0 next=0 last=
send() {
	"$@" "$FTFUSE_OUTPUT: $n lines with ERROR, the last: $last" || echo "<3>cannot send: $*" >&2
	n=0
	next=$(($(date +%s) + ${INTERVAL:-60}))
}
while IFS= read -r line || [ -n "$line" ]; do
	case $line in
	*ERROR*)
		n=$((n + 1)) last=$line
		[ "$(date +%s)" -lt "$next" ] || send "$@"
		;;
	esac
done
[ "$n" -eq 0 ] || send "$@"
