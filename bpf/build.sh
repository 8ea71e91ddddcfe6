#!/usr/bin/env bash
# Builds the BPF objects that are committed in agent/internal/probe. The compiler is pinned, paths are mapped away, debug
# sections are stripped: the same source gives the same bytes everywhere.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
PATH=$("$root"/scripts/tools.sh bpf2go):$PATH
# build FOLDER NAME SOURCE [FLAG] makes NAME in a package of the agent.
build() {
	(cd "$root/agent/internal/$1" && GOPACKAGE=${1##*/} bpf2go -go-package "${1##*/}" -target amd64 -cc clang-16 -strip llvm-strip-16 -no-global-types \
		-cflags "-O2 -g -Wall -Werror -Wno-unused-function -Wno-missing-declarations -ffile-prefix-map=$root=. ${4:-}" \
		"$2" "$root/bpf/$3" -- -I"$root/bpf/include" -I"$root/bpf/capture" -I"$root/bpf/tls" >/dev/null)
}
# Twice: for newer kernels, whose helpers make it load and run faster, and for all.
build probe capture capture/capture.bpf.c
build probe captureModern capture/capture.bpf.c -DMODERN
build probe/minimal minimal bench/minimal.bpf.c
