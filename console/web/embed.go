// Package web is the built page of the console.
package web

import "embed"

// Dist holds the bundle under "dist", built by `npm run build` here and committed.
//
//go:embed all:dist
var Dist embed.FS
