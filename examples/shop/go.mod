module github.com/sidelight/sidelight/examples/shop

go 1.26.0
