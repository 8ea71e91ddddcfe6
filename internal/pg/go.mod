module github.com/sidelight/sidelight/internal/pg

go 1.26

require (
	github.com/sidelight/sidelight/internal v0.0.0
)

// The siblings of this repository, so that tools work without go.work.
replace (
	github.com/sidelight/sidelight/internal => ../../internal
)
