#!/usr/bin/env bash
# Makes small roots of other Debian suites with a real nginx and the OpenSSL of its time, as a container has them, in the
# cache. Package lists are private: the system's stay as they are. Prints the folder, which has one subfolder per suite; what
# is younger than a week is not fetched again.
set -euo pipefail
into=${SIDELIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sidelight}/roots
mkdir -p "$into"
exec 9>"$into/lock"
flock 9
echo "$into"
fresh() { [ -n "$(find "$into/$1/.made" -mtime -7 2>/dev/null)" ]; }
wanted=()
for suite in bullseye trixie; do fresh "$suite" || wanted+=("$suite"); done
[ ${#wanted[@]} -eq 0 ] && exit 0
targets() { apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages'; }
if [ -z "$(targets)" ] && [ "$(id -u)" = 0 ]; then apt-get update -q >&2; fi
main=$(targets | awk '$1 !~ /-/ {print $2; exit}')
[ -n "$main" ] || { echo "roots: no package source is set up; run apt-get update" >&2; exit 1; }
keys=/usr/share/keyrings/debian-archive-keyring.gpg
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
one() {
	local suite=$1 dir=$work/$1 nginx=nginx-light
	[ "$suite" = bullseye ] || nginx=nginx
	mkdir -p "$dir"/{lists/partial,cache/archives/partial,root}
	echo "deb [arch=amd64$([ -e $keys ] && echo " signed-by=$keys")] $main $suite main" >"$dir/sources.list"
	local options=(-q -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$dir/lists"
		-o Dir::State::status=/dev/null -o Dir::Cache="$dir/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root)
	apt-get "${options[@]}" update &&
		apt-get "${options[@]}" install -y --no-install-recommends --download-only -o Debug::NoLocking=1 "$nginx" openssl || return 1
	# A merged /usr, as both suites have it.
	mkdir -p "$dir"/root/{usr/bin,usr/sbin,usr/lib,usr/lib64,dev,proc,tmp,run}
	local link package
	for link in bin sbin lib lib64; do ln -s "usr/$link" "$dir/root/$link"; done
	for package in "$dir"/cache/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$package" | tar -x -C "$dir/root" --keep-directory-symlink || return 1
	done
	rm -rf "$dir"/root/usr/share/{doc,man,locale,perl,info} "$dir"/root/var/cache
	touch "$dir/root/.made"
	rm -rf "${into:?}/$suite"
	mv "$dir/root" "$into/$suite"
}
failed=0
for suite in "${wanted[@]}"; do
	one "$suite" >"$work/log" 2>&1 && continue
	echo "roots: $suite: failed, the last words are:" >&2
	tail -5 "$work/log" >&2
	failed=1
done
exit $failed
