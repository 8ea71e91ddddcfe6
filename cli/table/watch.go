package table

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
)

// Watcher collects what the tail shows, by nonce.
type Watcher struct {
	mu      sync.Mutex
	seen    map[string]*sighting
	dropped uint64
	changed chan struct{}
}

// sighting is all that was seen of one nonce.
type sighting struct {
	// exchanges with this nonce: more than one is a double capture.
	exchanges map[string]struct{}
	last      *processorv1.Summary
	first     time.Time
}

// NewWatcher has seen nothing yet.
func NewWatcher() *Watcher {
	return &Watcher{seen: map[string]*sighting{}, changed: make(chan struct{}, 1)}
}

// Run reads one aggregator's tail until ctx ends, and calls open once the subscription stands. Several may run at once.
func (w *Watcher) Run(ctx context.Context, conn *grpc.ClientConn, open func()) error {
	stream, err := aggregatorv1.NewTailServiceClient(conn).Tail(ctx, &aggregatorv1.TailRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return fmt.Errorf("opening the tail: %w", err)
	}
	// Headers come when the aggregator has subscribed this reader: from now on nothing is missed.
	if _, err := stream.Header(); err != nil {
		return fmt.Errorf("opening the tail: %w", err)
	}
	open()
	for {
		message, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("reading the tail: %w", err)
		}
		w.add(message)
	}
}

func (w *Watcher) add(message *aggregatorv1.TailResponse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropped += message.GetDropped()
	summary := message.GetSummary()
	if summary == nil || summary.GetDuplicate() {
		return
	}
	nonce := summary.GetRequest().GetTraceId()
	s := w.seen[nonce]
	if s == nil {
		s = &sighting{exchanges: map[string]struct{}{}, first: time.Now()}
		w.seen[nonce] = s
	}
	s.exchanges[string(summary.GetExchangeId())] = struct{}{}
	// A revision that only brings the status repeats no hits.
	if s.last == nil || len(summary.GetHits()) > 0 {
		s.last = summary
	}
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Await returns when every nonce was seen, or when nothing new came for `quiet`.
func (w *Watcher) Await(ctx context.Context, list []Request, quiet time.Duration) {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		if w.Missing(list) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-w.changed:
			timer.Reset(quiet)
		}
	}
}

// Missing counts the requests that were not seen yet.
func (w *Watcher) Missing(list []Request) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, p := range list {
		if w.seen[p.Nonce] == nil {
			n++
		}
	}
	return n
}

// Of gives how many exchanges carried the nonce, the last summary, and when it was first seen.
func (w *Watcher) Of(nonce string) (int, *processorv1.Summary, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.seen[nonce]
	if s == nil {
		return 0, nil, time.Time{}
	}
	return len(s.exchanges), s.last, s.first
}

// Strangers are nonces that this run did not send.
func (w *Watcher) Strangers(list []Request) []string {
	known := map[string]bool{}
	for _, p := range list {
		known[p.Nonce] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(w.seen)), func(nonce string) bool { return known[nonce] })
}

// Lost counts summaries that this reader was too slow for.
func (w *Watcher) Lost() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}
