#!/usr/bin/env bash
# Downloads the TLS library of several Debian suites, with package lists of its own: the system's stay as they are. Those of
# the security suites are what people run, and their lists are short.
# Where from is taken from this machine's own package sources. Prints the folder, which has one subfolder for each suite;
# what is there and younger than a week is not fetched again.
set -euo pipefail
into=${SIDELIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sidelight}/libssl
suites='bullseye-security bookworm-security trixie-security sid'
mkdir -p "$into"
exec 9>"$into/lock"
flock 9
echo "$into"
fresh() { [ -n "$(find "$into/$1/package" -mtime -7 2>/dev/null)" ]; }
wanted=()
for suite in $suites; do fresh "$suite" || wanted+=("$suite"); done
[ ${#wanted[@]} -eq 0 ] && exit 0

for tool in apt-get apt-cache dpkg-deb; do
	command -v $tool >/dev/null || { echo "fetch: needs $tool: this is not a Debian-like system" >&2; exit 1; }
done
# Index targets are known only where lists were fetched once.
targets() { apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages'; }
if [ -z "$(targets)" ] && [ "$(id -u)" = 0 ]; then apt-get update -q >&2; fi
main=$(targets | awk '$1 !~ /-/ {print $2; exit}')
security=$(targets | awk '$1 ~ /-security$/ {print $2; exit}')
[ -n "$main" ] && [ -n "$security" ] || { echo "fetch: no package source with a security suite is set up; run apt-get update" >&2; exit 1; }

keys=/usr/share/keyrings/debian-archive-keyring.gpg
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
one() {
	local suite=$1 uri=$main dir=$work/$1 package
	case $suite in *-security) uri=$security ;; esac
	mkdir -p "$dir"/{lists/partial,cache/archives/partial,got}
	echo "deb [arch=amd64$([ -e $keys ] && echo " signed-by=$keys")] $uri $suite main" >"$dir/sources.list"
	local options=(-q -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$dir/lists"
		-o Dir::State::status=/dev/null -o Dir::Cache="$dir/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root)
	apt-get "${options[@]}" update &&
		package=$(apt-cache "${options[@]}" search --names-only '^libssl[0-9.]+(t64)?$' | awk '{print $1}' | sort -V | tail -1) &&
		(cd "$dir/got" && apt-get "${options[@]}" download "$package/$suite") &&
		dpkg-deb --fsys-tarfile "$dir"/got/*.deb | tar -x -C "$dir/got" --wildcards '*/libssl.so*' &&
		mkdir -p "$dir/new" &&
		find "$dir/got" -type f -name 'libssl.so*' -exec mv {} "$dir/new/" \; &&
		basename "$dir"/got/*.deb >"$dir/new/package" &&
		rm -rf "${into:?}/$suite" &&
		mv "$dir/new" "$into/$suite"
}
failed=0
for suite in "${wanted[@]}"; do
	one "$suite" >"$work/log" 2>&1 && continue
	echo "fetch: $suite: failed, the last words of apt-get are:" >&2
	tail -5 "$work/log" >&2
	failed=1
done
exit $failed
