#!/usr/bin/env bash
# Measures what docs/benchmarks.md says: each stage by itself, then the whole product on this host.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "machine: $(nproc) processors, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), kernel $(uname -r), load $(cut -d' ' -f1 /proc/loadavg)"
stage() { (cd "$1" && go test -run '^$' -bench "$2" -benchtime "${4:-1s}" "$3" | grep -E '^Benchmark'); }
echo "== one stage at a time"
stage agent 'BenchmarkRequest' ./internal/http1
stage agent 'BenchmarkExchange' ./internal/stream
# As the agent sets it for itself.
GOGC=200 stage agent 'BenchmarkRingToSend|BenchmarkQuiet|BenchmarkConnections|BenchmarkOverload' ./internal/bench
echo "== what a mirrored program pays"
stage agent 'BenchmarkPlainRequest|BenchmarkTLSRequest|BenchmarkBystander' ./internal/probe 1x
stage agent 'BenchmarkSaturated' . 1x
echo "== from a program's start to its first captured request"
(cd agent && go test -count=1 -v -run 'TestHowSoon' . | grep 'from start')
echo "== the other stages"
stage aggregator 'BenchmarkMirror' .
stage processor 'BenchmarkInspect' .
stage apidiscovery 'BenchmarkAdd' ./internal/inventory
stage cloudsync 'BenchmarkCommit' ./internal/journal
echo "== the whole, on this host"
stage e2e 'BenchmarkPipeline' ./local 1x
stage e2e 'BenchmarkCurlToConsole' ./local 1x
stage e2e 'BenchmarkLinks' ./parts 1x
