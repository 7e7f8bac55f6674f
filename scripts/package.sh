#!/bin/sh
# Builds .deb and .rpm into dist/: package.sh [VERSION]. The same commit and version give the same bytes, wherever and
# whenever they are built. ARCHES and DIST choose architectures and another folder;
# SOURCE_DATE_EPOCH and COMMIT say what git would.
set -eu
cd "$(dirname "$0")/.."
umask 022
export LC_ALL=C TZ=UTC

nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
VERSION=${1:-$(scripts/version.sh)}
DIST=${DIST:-dist}
BUILD=$DIST/build
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
commit=${COMMIT:-$(git rev-parse --short=12 HEAD)}
export VERSION BUILD SOURCE_DATE_EPOCH

# build ARCH: the programs, static, without a trace of where they were built.
build() {
	mkdir -p "$BUILD/$1"
	CGO_ENABLED=0 GOOS=linux GOARCH=$1 go build -trimpath -buildvcs=false \
		-ldflags "-s -w -X main.version=$VERSION -X main.commit=$commit" -o "$BUILD/$1/" ./cmd/...
}

# licenses: those of every module whose code is in the programs, and Go's own.
licenses() {
	go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/... | sort -u |
		while read -r path version dir; do
			for file in "$dir"/LICENSE* "$dir"/COPYING* "$dir"/NOTICE*; do
				if [ -f "$file" ]; then
					printf '\n==== %s %s, %s\n\n' "$path" "$version" "${file##*/}"
					cat "$file"
				fi
			done
		done
	printf '\n==== the Go standard library, LICENSE\n\n'
	cat "$(go env GOROOT)/LICENSE"
}

copyright() {
	cat <<-'EOF'
		Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
		Comment: Licenses of the Go modules that are linked in are in third-party-licenses.gz.

		Files: *
		Copyright: 2026 The ftfuse authors
		License: MIT
	EOF
	sed '1,/^Copyright/d' LICENSE | sed '/./,$!d; s/^$/./; s/^/ /'
}

changelog() {
	cat <<-EOF
		ftfuse ($VERSION-1) unstable; urgency=medium

		  * Built from commit $commit.

		 -- $(sed -n 's/^maintainer: //p' nfpm.yaml)  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
	EOF
}

rm -rf "$BUILD"
mkdir -p "$BUILD"
for arch in ${ARCHES:-amd64 arm64}; do
	build "$arch"
done

CGO_ENABLED=0 go build -trimpath -o "$BUILD/host/" ./cmd/ftfuse ./cmd/mount.ftfuse
"$BUILD/host/ftfuse" completion bash >"$BUILD/ftfuse.bash"
"$BUILD/host/ftfuse" completion zsh >"$BUILD/_ftfuse"
"$BUILD/host/ftfuse" completion fish >"$BUILD/ftfuse.fish"
copyright >"$BUILD/copyright"
changelog | gzip -9n >"$BUILD/changelog.gz"
licenses | gzip -9n >"$BUILD/third-party-licenses.gz"
go run ./scripts/manpages --programs "$BUILD/host" --out "$BUILD/man" --version "$VERSION" --date "$SOURCE_DATE_EPOCH"
gzip -9n "$BUILD"/man/*

for arch in ${ARCHES:-amd64 arm64}; do
	for family in deb rpm; do
		ARCH=$arch go run "$nfpm" package --packager "$family" --target "$DIST/"
	done
done
rm -rf "$BUILD"
