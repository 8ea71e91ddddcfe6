module github.com/sidelight/sidelight/internal

go 1.26

