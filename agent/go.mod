module github.com/sidelight/sidelight/agent

go 1.26.0

require (
	github.com/sidelight/sidelight/internal v0.0.0
	github.com/sidelight/sidelight/proto v0.0.0
)

require (
	github.com/cilium/ebpf v0.22.0 // indirect
	github.com/stretchr/testify v1.12.1 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

// The siblings of this repository, so that tools work without go.work.
replace (
	github.com/sidelight/sidelight/internal => ../internal
	github.com/sidelight/sidelight/proto => ../proto
)
