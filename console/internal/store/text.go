package store

import (
	"strings"
	"unicode/utf8"
)

// Widths of text columns in bytes. Together they stay under what one index row can hold (2 704 bytes), so that a
// long name from hostile traffic can never make an upload fail.
const (
	ClusterWidth = 128
	IDWidth      = 128
	NameWidth    = 256
	PathWidth    = 1024
	WordWidth    = 64
)

// Text makes s fit a text column: no NUL, which Postgres refuses, valid UTF-8, at most width bytes. The whole value
// stays in the message beside the column.
func Text(s string, width int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= width {
		return s
	}
	for width > 0 && !utf8.RuneStart(s[width]) {
		width--
	}
	return s[:width]
}

// Filter is Text for a filter, nil when it is not set.
func Filter(s string, width int) *string {
	if s == "" {
		return nil
	}
	s = Text(s, width)
	return &s
}
