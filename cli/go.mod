module github.com/sidelight/sidelight/cli

go 1.26.0

require (
	github.com/sidelight/sidelight/agent v0.0.0
	github.com/sidelight/sidelight/aggregator v0.0.0
	github.com/sidelight/sidelight/apidiscovery v0.0.0
	github.com/sidelight/sidelight/cloudsync v0.0.0
	github.com/sidelight/sidelight/console v0.0.0
	github.com/sidelight/sidelight/examples/shop v0.0.0
	github.com/sidelight/sidelight/internal v0.0.0
	github.com/sidelight/sidelight/internal/pg v0.0.0
	github.com/sidelight/sidelight/processor v0.0.0
	github.com/sidelight/sidelight/proto v0.0.0
	github.com/sidelight/sidelight/standalone v0.0.0
)

require (
	connectrpc.com/connect v1.21.1 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/spf13/cobra v1.10.2 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

// The siblings of this repository, so that tools work without go.work.
replace (
	github.com/sidelight/sidelight/agent => ../agent
	github.com/sidelight/sidelight/aggregator => ../aggregator
	github.com/sidelight/sidelight/apidiscovery => ../apidiscovery
	github.com/sidelight/sidelight/cloudsync => ../cloudsync
	github.com/sidelight/sidelight/console => ../console
	github.com/sidelight/sidelight/examples/shop => ../examples/shop
	github.com/sidelight/sidelight/internal => ../internal
	github.com/sidelight/sidelight/internal/pg => ../internal/pg
	github.com/sidelight/sidelight/processor => ../processor
	github.com/sidelight/sidelight/proto => ../proto
	github.com/sidelight/sidelight/standalone => ../standalone
)
