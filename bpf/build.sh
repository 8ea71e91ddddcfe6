#!/usr/bin/env bash
# Builds the BPF objects that are committed in agent/internal/probe. The compiler is pinned, paths are mapped away, debug
# sections are stripped: the same source gives the same bytes everywhere.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
PATH=$("$root"/scripts/tools.sh bpf2go):$PATH
cd "$root/agent/internal/probe"
GOPACKAGE=probe bpf2go -go-package probe -target amd64 -cc clang-16 -strip llvm-strip-16 -no-global-types \
	-cflags "-O2 -g -Wall -Werror -Wno-unused-function -Wno-missing-declarations -ffile-prefix-map=$root=." \
	capture "$root/bpf/capture/capture.bpf.c" -- -I"$root/bpf/include" -I"$root/bpf/capture" >/dev/null
