#!/usr/bin/env bash
# Fetches the kernels that `make test-kernels` boots from Debian's packages into a cache outside the tree, and prints a line
# for each: its name, its version, the kernel, its modules.
#   scripts/kernels.sh               all of them
#   scripts/kernels.sh 5.10 newest   these
#   KERNELS_MAX_AGE=0 scripts/kernels.sh   look for updates now; else once in a week
# The suites are fetched with lists and a cache of their own: this machine's package lists stay as they are.
set -euo pipefail
cache=${SIDELIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sidelight}/kernels
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# name, suite, the package that depends on the suite's current kernel
table='5.10 bullseye linux-image-cloud-amd64
6.1 bookworm linux-image-cloud-amd64
6.12 trixie linux-image-cloud-amd64
newest sid linux-image-cloud-amd64'

fail() { echo "kernels: $*" >&2; exit 1; }
for command in apt-get apt-cache dpkg-deb; do
	command -v $command >/dev/null || fail "there is no $command: run this on a Debian-like system, or put kernels into $cache as '$0' prints them"
done
[ -e $keyring ] || fail "there is no $keyring: install debian-archive-keyring"

# uri LABEL: where this machine gets Debian, or Debian's security updates, from.
uri() {
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | sed -n "s/^$1|//p" | sort -u | head -1
}
main=${DEBIAN_MIRROR:-$(uri Debian)}
security=${DEBIAN_SECURITY_MIRROR:-$(uri Debian-Security)}
[ -n "$main" ] || fail "this machine's package sources name no mirror of Debian (run apt-get update), and DEBIAN_MIRROR is not set"

# private COMMAND ARGS: an apt command that knows one suite and nothing of this machine.
private() {
	local command=$1
	shift
	"$command" -o Dir::Etc::sourcelist="$root/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State::lists="$root/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$root/cache" -o APT::Sandbox::User=root \
		-o Acquire::Languages=none -o APT::Architecture=amd64 -o APT::Architectures=amd64 "$@"
}

# depends PACKAGE PATTERN: the packages on which it depends whose names match.
depends() { private apt-cache depends "$1" 2>/dev/null | sed -n "s/^ *Depends: \($2\)$/\1/p"; }

fetch() {
	local name=$1 suite=$2 meta=$3 image packages work
	root=$cache/apt/$suite
	mkdir -p "$root/lists/partial" "$root/cache/archives/partial"
	echo "deb [signed-by=$keyring] $main $suite main" >"$root/sources.list"
	[ "$suite" = sid ] || [ -z "$security" ] || echo "deb [signed-by=$keyring] $security $suite-security main" >>"$root/sources.list"
	echo "kernels: looking for $suite's kernel" >&2
	private apt-get update -qq >&2 || fail "the package lists of $suite could not be fetched (see above)"
	image=$(depends "$meta" 'linux-image-.*' | head -1)
	[ -n "$image" ] || fail "$suite has no $meta that depends on a kernel"
	# In newer suites the kernel and its modules are packages of their own.
	packages="$image $(depends "$image" 'linux-\(binary\|modules\)-.*' | tr '\n' ' ')"
	[ "$(cat "$cache/$name/packages" 2>/dev/null)" = "$packages" ] && { touch "$cache/$name/packages"; return; }
	echo "kernels: fetching $packages" >&2
	work=$(mktemp -d "$cache/.$name.XXXXXX")
	# shellcheck disable=SC2086
	(cd "$work" && private apt-get download -qq $packages >&2) || fail "$packages could not be fetched (see above)"
	for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/root"; rm "$package"; done
	mkdir "$work/out"
	find "$work/root" -name 'vmlinuz*' -type f -exec cp {} "$work/out/vmlinuz" \;
	[ -s "$work/out/vmlinuz" ] || fail "no vmlinuz in $packages"
	for modules in "$work"/root/lib/modules/* "$work"/root/usr/lib/modules/*; do
		[ -d "$modules/kernel" ] || continue
		basename "$modules" >"$work/out/version"
		mv "$modules" "$work/out/modules"
		break
	done
	[ -s "$work/out/version" ] || fail "no modules in $packages"
	echo "$packages" >"$work/out/packages"
	rm -rf "${cache:?}/$name"
	mv "$work/out" "$cache/$name"
	rm -rf "$work"
}

mkdir -p "$cache"
trap 'rm -rf "$cache"/.*.??????' EXIT
while read -r name suite meta; do
	if [ $# -gt 0 ]; then case " $* " in *" $name "*) ;; *) continue ;; esac; fi
	[ -n "$(find "$cache/$name/packages" -mtime "-${KERNELS_MAX_AGE:-7}" 2>/dev/null)" ] || fetch "$name" "$suite" "$meta"
	echo "$name $(cat "$cache/$name/version") $cache/$name/vmlinuz $cache/$name/modules"
done <<<"$table"
