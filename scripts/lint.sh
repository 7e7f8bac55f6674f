#!/bin/sh
# Checks that need no test run: formatting, vet, staticcheck, shellcheck, the systemd units.
set -eu
cd "$(dirname "$0")/.."

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2

echo "lint: gofmt"
unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
	echo "ftfuse: error: not formatted:" >&2
	echo "$unformatted" >&2
	echo "hint: gofmt -w ." >&2
	exit 1
fi

echo "lint: go vet"
go vet ./...

echo "lint: staticcheck"
go run "$staticcheck" ./...

echo "lint: shellcheck"
# Every file whose first line names a shell, whatever it is called.
find . -path ./.git -prune -o -path ./bin -prune -o -path ./dist -prune -o -type f -print | sort |
	while read -r f; do
		if head -c 64 "$f" | head -n 1 | grep -aqE '^#! ?/(usr/)?bin/(env )?(sh|bash|dash)'; then
			echo "$f"
		fi
	done | xargs shellcheck

echo "lint: systemd units"
scripts/lint-units.sh
