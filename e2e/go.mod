module github.com/sidelight/sidelight/e2e

go 1.26.0

require (
	connectrpc.com/connect v1.21.1
	github.com/chromedp/cdproto v0.0.0-20250724212937-08a3db8b4327
	github.com/chromedp/chromedp v0.14.2
	github.com/sidelight/sidelight/cli v0.0.0-00010101000000-000000000000
	github.com/sidelight/sidelight/console v0.0.0
	github.com/sidelight/sidelight/examples/shop v0.0.0
	github.com/sidelight/sidelight/internal v0.0.0
	github.com/sidelight/sidelight/proto v0.0.0
	golang.org/x/sys v0.50.0
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/chromedp/sysutil v1.1.0 // indirect
	github.com/go-json-experiment/json v0.0.0-20250725192818-e39067aee2d2 // indirect
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/gobwas/pool v0.2.1 // indirect
	github.com/gobwas/ws v1.4.0 // indirect
	github.com/sidelight/sidelight/processor v0.0.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/text v0.44.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261005182115-fad411399dd8 // indirect
)

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/stretchr/testify v1.12.1
	go.yaml.in/yaml/v3 v3.0.6 // indirect
)

// The siblings of this repository, so that tools work without go.work.
replace (
	github.com/sidelight/sidelight/agent => ../agent
	github.com/sidelight/sidelight/aggregator => ../aggregator
	github.com/sidelight/sidelight/apidiscovery => ../apidiscovery
	github.com/sidelight/sidelight/cli => ../cli
	github.com/sidelight/sidelight/cloudsync => ../cloudsync
	github.com/sidelight/sidelight/console => ../console
	github.com/sidelight/sidelight/examples/shop => ../examples/shop
	github.com/sidelight/sidelight/internal => ../internal
	github.com/sidelight/sidelight/internal/pg => ../internal/pg
	github.com/sidelight/sidelight/processor => ../processor
	github.com/sidelight/sidelight/proto => ../proto
	github.com/sidelight/sidelight/standalone => ../standalone
)
