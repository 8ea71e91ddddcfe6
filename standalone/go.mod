module github.com/sidelight/sidelight/standalone

go 1.26.0

require (
	github.com/sidelight/sidelight/agent v0.0.0
	github.com/sidelight/sidelight/aggregator v0.0.0
	github.com/sidelight/sidelight/apidiscovery v0.0.0
	github.com/sidelight/sidelight/cloudsync v0.0.0
	github.com/sidelight/sidelight/console v0.0.0
	github.com/sidelight/sidelight/internal v0.0.0
	github.com/sidelight/sidelight/internal/pg v0.0.0
	github.com/sidelight/sidelight/processor v0.0.0
	github.com/sidelight/sidelight/proto v0.0.0
)

require (
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

// The siblings of this repository, so that tools work without go.work.
replace (
	github.com/sidelight/sidelight/agent => ../agent
	github.com/sidelight/sidelight/aggregator => ../aggregator
	github.com/sidelight/sidelight/apidiscovery => ../apidiscovery
	github.com/sidelight/sidelight/cloudsync => ../cloudsync
	github.com/sidelight/sidelight/console => ../console
	github.com/sidelight/sidelight/internal => ../internal
	github.com/sidelight/sidelight/internal/pg => ../internal/pg
	github.com/sidelight/sidelight/processor => ../processor
	github.com/sidelight/sidelight/proto => ../proto
)
