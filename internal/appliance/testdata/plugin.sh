#!/bin/sh
# A plug-in that says what it is and may, then what it reads, and at the end of its input that it could finish.
grep -E '^Cap(Prm|Eff|Amb)' /proc/self/status >&2
awk '/^Max (address space|open files) / { print $2, $4 }' /proc/self/limits
echo "user $(id -un), umask $(umask)"
if (echo mark >/etc/plugin) 2>/dev/null; then echo "can write to /etc"; fi
if (echo mark >/srv/plugin/mark) 2>/dev/null; then echo "can write to /srv/plugin"; fi
n=0
while IFS= read -r line; do
	n=$((n + 1))
	echo "got $line"
done
sleep 0.2
echo "finished after $n lines" >&2
