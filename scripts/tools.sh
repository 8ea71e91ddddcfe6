#!/usr/bin/env bash
# Builds the pinned tools of tools/versions into a cache outside the tree, and prints the directory to put on PATH.
#   scripts/tools.sh            all of them
#   scripts/tools.sh buf sqlc   these
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${SIDELIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sidelight}
bin=$cache/bin
mkdir -p "$bin"
while read -r name package version; do
	case $name in ''|'#'*) continue ;; esac
	if [ $# -gt 0 ]; then case " $* " in *" $name "*) ;; *) continue ;; esac; fi
	[ "$(cat "$bin/.$name.version" 2>/dev/null)" = "$version" ] && [ -x "$bin/$name" ] && continue
	echo "building $name $version into $bin" >&2
	# Without cgo: sqlc would else build a C parser for minutes.
	GOWORK=off GOFLAGS='' CGO_ENABLED=0 GOBIN=$bin go install "$package@$version"
	echo "$version" >"$bin/.$name.version"
done <tools/versions
echo "$bin"
