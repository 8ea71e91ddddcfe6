package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"

	"github.com/sidelight/sidelight/internal/logkey"
)

const (
	minPause = 200 * time.Millisecond
	maxPause = 5 * time.Second
)

type source interface {
	Watch(ctx context.Context, in *cloudsyncv1.WatchRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[cloudsyncv1.WatchResponse], error)
}

// WatcherDeps is what a watcher works with.
type WatcherDeps struct {
	Client source
	Part   string
	// Apply puts a policy in force. An error refuses it: what was in force before stays so, and nothing of the new one is.
	Apply func(Policy) error
	Log   *slog.Logger
}

// Watcher keeps a part's policy the newest that it can obey.
type Watcher struct {
	deps WatcherDeps

	mu       sync.Mutex
	sequence uint64
	// tried is the newest that was looked at, obeyed or not; sequences are of one organisation.
	tried        uint64
	organisation string
	refused      string
}

// NewWatcher makes a watcher that does nothing until Run.
func NewWatcher(deps WatcherDeps) *Watcher { return &Watcher{deps: deps} }

// State is the sequence in force, and why a newer one was refused.
func (w *Watcher) State() (sequence uint64, refused string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sequence, w.refused
}

// Run watches until ctx ends. While cloudsync is away, what is in force stays so.
func (w *Watcher) Run(ctx context.Context) error {
	pause := minPause
	for {
		heard, err := w.watch(ctx)
		if heard {
			pause = minPause
		}
		w.deps.Log.Debug("the watch on the policy ended; what is in force stays so", logkey.Error, err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

func (w *Watcher) watch(ctx context.Context) (heard bool, err error) {
	w.mu.Lock()
	have := w.tried
	w.mu.Unlock()
	stream, err := w.deps.Client.Watch(ctx, &cloudsyncv1.WatchRequest{Part: w.deps.Part, HaveSequence: have})
	if err != nil {
		return false, fmt.Errorf("watching the policy: %w", err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return heard, fmt.Errorf("watching the policy: %w", err)
		}
		heard = true
		if m.GetBundle() != nil {
			w.take(m.GetBundle())
		}
	}
}

func (w *Watcher) take(b *policyv1.Bundle) {
	p, err := Content(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && p.Organisation != w.organisation {
		// The installation was registered with another console.
		w.organisation, w.tried = p.Organisation, 0
	}
	switch {
	case err == nil && p.Sequence == w.tried:
		return
	case err == nil && p.Sequence < w.tried:
		err = errors.New("its sequence is lower than one that was seen before: a roll-back is old content under a new sequence")
	case err == nil:
		w.tried = p.Sequence
		err = w.deps.Apply(p)
	}
	if err != nil {
		w.refused = fmt.Sprintf("policy %d: %v", p.Sequence, err)
		w.deps.Log.Warn("a policy was refused; what was in force before stays so", "sequence", p.Sequence, logkey.Error, err)
		return
	}
	w.sequence, w.refused = p.Sequence, ""
	w.deps.Log.Info("policy in force", "sequence", p.Sequence)
}
