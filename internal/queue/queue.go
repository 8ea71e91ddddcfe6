// Package queue is a first-in, first-out queue bounded in items and bytes, that drops its oldest and says so.
package queue

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrClosed is what PopBatch returns when the queue is closed and empty.
var ErrClosed = errors.New("queue closed")

// Reasons for a drop.
const (
	ReasonFull   = "full"
	ReasonTooBig = "too_big"
	ReasonClosed = "closed"
)

// Queue holds values until they are taken or dropped.
type Queue[T any] struct {
	maxItems int
	maxBytes int64
	size     func(T) int64
	dropped  func(T, string)

	mu     sync.Mutex
	items  []T
	bytes  int64
	closed bool
	// arrived has room for one token: something came, or the queue was closed.
	arrived chan struct{}
}

// New makes a queue. `dropped` is called for every value that is given up, outside the lock.
func New[T any](maxItems int, maxBytes int64, size func(T) int64, dropped func(T, string)) *Queue[T] {
	return &Queue[T]{maxItems: maxItems, maxBytes: maxBytes, size: size, dropped: dropped, arrived: make(chan struct{}, 1)}
}

// Push adds a value, dropping the oldest ones to make room. False: the value itself was dropped.
func (q *Queue[T]) Push(v T) bool {
	size := q.size(v)
	q.mu.Lock()
	if q.closed || size > q.maxBytes || q.maxItems <= 0 {
		reason := ReasonTooBig
		if q.closed {
			reason = ReasonClosed
		}
		q.mu.Unlock()
		q.dropped(v, reason)
		return false
	}
	var old []T
	for len(q.items) > 0 && (len(q.items) >= q.maxItems || q.bytes+size > q.maxBytes) {
		old = append(old, q.take(1)...)
	}
	q.items = append(q.items, v)
	q.bytes += size
	q.mu.Unlock()
	q.wake()
	for _, item := range old {
		q.dropped(item, ReasonFull)
	}
	return true
}

// PopBatch waits for a first value, then up to maxWait for more, and takes at most maxItems.
func (q *Queue[T]) PopBatch(ctx context.Context, maxItems int, maxWait time.Duration) ([]T, error) {
	for {
		q.mu.Lock()
		n, closed := len(q.items), q.closed
		q.mu.Unlock()
		if n > 0 {
			break
		}
		if closed {
			return nil, ErrClosed
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-q.arrived:
		}
	}
	q.fill(ctx, maxItems, maxWait)
	q.mu.Lock()
	batch := q.take(maxItems)
	more := len(q.items) > 0 || q.closed
	q.mu.Unlock()
	if more {
		q.wake()
	}
	return batch, nil
}

// fill waits until maxItems are there or maxWait is over.
func (q *Queue[T]) fill(ctx context.Context, maxItems int, maxWait time.Duration) {
	if maxWait <= 0 {
		return
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	for {
		q.mu.Lock()
		enough := len(q.items) >= maxItems || q.closed
		q.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-q.arrived:
		}
	}
}

// take removes up to n of the oldest; the caller holds the lock.
func (q *Queue[T]) take(n int) []T {
	n = min(n, len(q.items))
	batch := make([]T, n)
	copy(batch, q.items)
	for _, item := range batch {
		q.bytes -= q.size(item)
	}
	rest := copy(q.items, q.items[n:])
	clear(q.items[rest:])
	q.items = q.items[:rest]
	return batch
}

func (q *Queue[T]) wake() {
	select {
	case q.arrived <- struct{}{}:
	default:
	}
}

// Len counts the waiting values.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// Bytes sums their sizes.
func (q *Queue[T]) Bytes() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// Close lets PopBatch empty the queue and then end.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.wake()
}
