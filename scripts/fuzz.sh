#!/usr/bin/env bash
# Runs every fuzz target of every module for the given time each.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-60s}
for module in $(sed -n 's/^[[:space:]]*\.\///p' go.work); do
	for file in $(git ls-files "$module/*_test.go"); do
		for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
			case $file in "$module"/*) package=./$(dirname "${file#"$module"/}") ;; esac
			echo "== $module $package $target"
			(cd "$module" && go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package")
		done
	done
done
