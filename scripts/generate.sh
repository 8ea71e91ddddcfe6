#!/usr/bin/env bash
# Generates everything that is generated and committed: protobuf, Connect handlers, SQL, BPF objects, the UI bundle.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$(scripts/tools.sh buf protoc-gen-go protoc-gen-go-grpc protoc-gen-connect-go bpf2go sqlc):$PATH
export PATH

echo "generate: protobuf"
buf generate
buf generate --template buf.gen.console.yaml --path proto/sidelight/console

for module in apidiscovery console; do
	echo "generate: SQL of $module"
	(cd "$module" && sqlc generate)
done

echo "generate: BPF objects"
bpf/build.sh

echo "generate: web application"
cd console/web
npm ci --no-audit --no-fund --silent
npm run --silent generate
npm run --silent build
