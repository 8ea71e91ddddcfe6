// Package app runs a process's tasks as one: together they start, and together they end.
package app

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// Task is one thing that a process does until its context ends.
type Task struct {
	Name string
	Run  func(ctx context.Context) error
}

// errEnded is the cause when a task returns nil while the others still run.
var errEnded = errors.New("ended")

// Run starts all tasks. The first that ends cancels the others, with its error as the cause; a panic is an error. It
// returns when all have ended: nil if ctx was cancelled from outside or a task ended without an error.
func Run(ctx context.Context, tasks ...Task) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	for _, task := range tasks {
		wg.Go(func() {
			err := protect(ctx, task)
			if err != nil && ctx.Err() == nil {
				err = fmt.Errorf("%s: %w", task.Name, err)
			}
			mu.Lock()
			if first == nil && ctx.Err() == nil {
				first = err
				if err == nil {
					err = fmt.Errorf("%s: %w", task.Name, errEnded)
				}
				cancel(err)
			}
			mu.Unlock()
		})
	}
	wg.Wait()
	return first
}

func protect(ctx context.Context, task Task) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return task.Run(ctx)
}
