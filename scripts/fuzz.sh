#!/bin/sh
# Runs every fuzz test for a short time: fuzz.sh [TIME], 10s unless told.
set -eu
cd "$(dirname "$0")/.."
time=${1:-10s}

list=$(go test -run '^$' -list '^Fuzz' ./... | awk '/^Fuzz/ { names[++n] = $1; next } /^ok/ { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 } /^FAIL/ { exit 1 }')
if [ -z "$list" ]; then
	echo "ftfuse: error: no fuzz test found" >&2
	exit 1
fi
echo "$list" | while read -r package name; do
	echo "fuzz: $package $name"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$package" >"${TMPDIR:-/tmp}/ftfuse-fuzz.$$" 2>&1 || {
		cat "${TMPDIR:-/tmp}/ftfuse-fuzz.$$"
		rm -f "${TMPDIR:-/tmp}/ftfuse-fuzz.$$"
		exit 1
	}
	rm -f "${TMPDIR:-/tmp}/ftfuse-fuzz.$$"
done
