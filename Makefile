# `make help` lists what there is. CI runs the same targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULES := $(shell sed -n 's/^[[:space:]]*\.\///p' go.work)
TOOLS    = $(shell scripts/tools.sh)
SEED    ?= random
# What the demo mirrors: a filter list of the configuration, or "none" to see that nothing selected means nothing seen.
FILTERS ?= nginx
export GOFLAGS := $(GOFLAGS)

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/sidelight
	@echo "building bin/sidelight (Go fetches its modules the first time)"
	@go build -o bin/sidelight ./cli/cmd/sidelight

demo: ## the demo shop behind a real nginx: attacks and endpoints in two minutes (root; SEED=n, FILTERS=none)
	@scripts/setup.sh demo
	@$(MAKE) --no-print-directory build
	@bin/sidelight demo --seed=$(SEED) --filters=$(FILTERS)

run: ## the demo, staying up with live traffic until Ctrl-C
	@scripts/setup.sh demo
	@$(MAKE) --no-print-directory build
	@bin/sidelight demo --seed=$(SEED) --filters=$(FILTERS) --stay

test: ## everything that needs no cluster, with what it needs installed
	@scripts/setup.sh test gen
	@$(MAKE) --no-print-directory check-generated lint test-go test-web check-modules

test-go: ## Go tests of every module
	@for m in $(MODULES); do echo "== $$m"; (cd $$m && go test -count=1 -timeout=20m ./...) || exit 1; done

test-long: ## faults, overload and outages for as long as docs/delivery.md says (about 40 min)
	@scripts/setup.sh test
	@cd e2e && go test -count=1 -timeout=120m -v ./parts -run '$(or $(RUN),.)' -long 2>&1 | grep --line-buffered -E '^(=== RUN|\s*--- |ok|FAIL|panic)|_test.go:'

test-kernels: ## the capture tests in Linux 5.10, 6.1, 6.12 and the newest of Debian, emulated (about 15 min; KERNELS="5.10 6.1")
	@scripts/setup.sh kernels
	@cd e2e && go run ./kernels/cmd/kernels $(KERNELS)

test-short: ## Go tests that take seconds
	@for m in $(MODULES); do (cd $$m && go test -short ./...) || exit 1; done

test-web: ## the console's web application
	@cd console/web && npm ci --no-audit --no-fund --silent && npm run --silent check && npm test --silent

race: ## Go tests with the race detector
	@for m in $(MODULES); do echo "== $$m"; (cd $$m && go test -race -short ./...) || exit 1; done

fuzz: ## every fuzz target for 60 s (FUZZTIME=10s)
	@scripts/fuzz.sh $(or $(FUZZTIME),60s)

bench: ## what docs/benchmarks.md says, measured here
	@scripts/setup.sh test bench
	@scripts/bench.sh

lint: ## golangci-lint in every module, buf lint
	@export PATH=$(TOOLS):$$PATH; buf lint; for m in $(MODULES); do (cd $$m && golangci-lint run ./...) || exit 1; done

fmt: ## gofmt
	@gofmt -w $$(git ls-files '*.go' | grep -v -E '/gen/|/genconnect/')

generate: ## everything that is generated and committed
	@scripts/setup.sh gen
	@scripts/generate.sh

check-generated: ## generate again and compare
	@scripts/generate.sh
	@git diff --exit-code --stat -- . || { echo "generated files differ from what is committed: run make generate and commit"; exit 1; }
	@test -z "$$(git ls-files --others --exclude-standard)" || { git ls-files --others --exclude-standard; echo "generating made files that are not committed"; exit 1; }

check-modules: ## each module builds without the workspace
	@for m in $(MODULES); do (cd $$m && GOWORK=off go build ./... && GOWORK=off go vet ./...) || { echo "module $$m does not build alone: cd $$m && GOWORK=off go mod tidy"; exit 1; }; done

tidy: ## go mod tidy in every module
	@for m in $(MODULES); do (cd $$m && GOWORK=off go mod tidy) || exit 1; done

clean: ## what the build made
	@rm -rf bin .demo console/web/node_modules

.PHONY: help build demo run test test-go test-long test-kernels test-short test-web race fuzz bench lint fmt generate check-generated check-modules tidy clean
