#!/bin/sh
# Prints the version of this tree in the form that dpkg and rpm order rightly:
#   1.2.3                  the tag v1.2.3            1.2.3~rc1               the tag v1.2.3-rc1
#   1.2.3+git5.89ab...     5 commits after it        0.0.0~git98.89ab...     98 commits, no tag yet
# A tree with changes of its own gets .dirty behind it. Without git it is 0.0.0.
set -eu
cd "$(dirname "$0")/.."

if ! commit=$(git rev-parse --short=10 HEAD 2>/dev/null); then
	echo 0.0.0
	exit
fi
if tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null); then
	version=$(echo "${tag#v}" | sed 's/-/~/; s/-/./g')
	after=$(git rev-list --count "$tag..HEAD")
	if [ "$after" -gt 0 ]; then
		version=$version+git$after.$commit
	fi
else
	version=0.0.0~git$(git rev-list --count HEAD).$commit
fi
if [ -n "$(git status --porcelain --untracked-files=no)" ]; then
	case $version in
	*git*) version=$version.dirty ;;
	*) version=$version+dirty ;;
	esac
fi
echo "$version"
