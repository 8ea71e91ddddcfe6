// Package exit maps errors to the exit codes that scripts rely on.
package exit

import (
	"errors"

	"github.com/sidelight/sidelight/internal/config"
)

type usageError struct{ error }

// Usage marks an error as the caller's: exit code 2.
func Usage(err error) error { return usageError{err} }

func (u usageError) Unwrap() error { return u.error }

// Code is 0 for nil, 2 for wrong use or configuration, else 1.
func Code(err error) int {
	var (
		usage    usageError
		badInput *config.Error
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage), errors.As(err, &badInput):
		return 2
	default:
		return 1
	}
}
