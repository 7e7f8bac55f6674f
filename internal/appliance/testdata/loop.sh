#!/bin/sh
# Appends numbered lines, an open for each, until SIGTERM: loop.sh ID FILE SECONDS
# /var/tmp/ID.last has the last line that was written, should the machine crash.
stop='' n=0 failed=0
trap 'stop=1' TERM
while [ -z "$stop" ]; do
	if echo "$1 $((n + 1))" 2>>"/var/tmp/$1.errors" >>"$2"; then
		n=$((n + 1))
		echo "$n" >>"/var/tmp/$1.last"
	else
		failed=$((failed + 1))
	fi
	sleep "$3"
done
echo "$n $failed 0 $(head -c 200 "/var/tmp/$1.errors" 2>/dev/null)" >"/var/tmp/$1.result"
