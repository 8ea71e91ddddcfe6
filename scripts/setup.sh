#!/usr/bin/env bash
# Installs what a target needs from Debian's packages, says so first, and starts no system service.
#   scripts/setup.sh demo   to run Sidelight and its demo: nginx, PostgreSQL
#   scripts/setup.sh test   to test it too: Chromium, iproute2, and the servers whose TLS is captured
#   scripts/setup.sh bench  to measure: a load generator
#   scripts/setup.sh kernels  to test other kernels: an emulator
#   scripts/setup.sh gen    to generate committed code again: clang 16, libbpf headers
set -euo pipefail
declare -A packages=(
	[demo]='nginx-light postgresql'
	[test]='nginx-light postgresql chromium iproute2 haproxy python3 curl openssl gnutls-bin cpio musl-tools gcc make perl linux-libc-dev'
	[bench]='wrk'
	[kernels]='qemu-system-x86 cpio xz-utils zstd debian-archive-keyring nginx-light haproxy busybox-static curl openssl python3'
	[gen]='clang-16 llvm-16 libbpf-dev'
)
# The page is built with Node 20.19 or newer; Debian 12's own is older, so its absence is said rather than mended wrongly.
case " $* " in *" gen "*)
	node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null || {
		echo "setup: building the console's page needs Node 20.19 or newer, and npm: install them from nodejs.org" >&2
		exit 1
	} ;;
esac
want=()
for set in "$@"; do
	for package in ${packages[$set]:?"no set named $set: want demo, test, bench, kernels or gen"}; do
		dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || want+=("$package")
	done
done
[ ${#want[@]} -eq 0 ] && exit 0
command -v apt-get >/dev/null || {
	echo "setup: this is not a Debian-like system; install these yourself, then try again: ${want[*]}" >&2
	exit 1
}
[ "$(id -u)" = 0 ] || { echo "setup: installing ${want[*]} needs root (try sudo)" >&2; exit 1; }
echo "setup: installing ${want[*]} (as packages; their system services are not started)"
# The package manager asks this program before it starts a service; 101 means no.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod +x $policy
	trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
{ apt-get update -q && apt-get install -y -q --no-install-recommends "${want[@]}"; } >"$log" 2>&1 || {
	tail -20 "$log" >&2
	echo "setup: apt-get failed, its last words are above" >&2
	exit 1
}
rm -f "$log"
