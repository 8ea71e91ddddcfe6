package policy

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"

	"github.com/sidelight/sidelight/internal/logkey"

	"github.com/sidelight/sidelight/cloudsync/internal/installation"
)

const (
	// Pauses between streams; a policy shall be with the parts within seconds of the console's return.
	minPause = 200 * time.Millisecond
	maxPause = 5 * time.Second
	// refusedPause is for an installation that was cut off: a person may change their mind.
	refusedPause = time.Minute
	// settled is how long a stream must have stood to count as a good one.
	settled = 5 * time.Second
)

type uplink interface {
	WatchPolicy(ctx context.Context, in *consolev1.WatchPolicyRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[consolev1.WatchPolicyResponse], error)
}

type account interface {
	Call(ctx context.Context, call func(context.Context) error) error
}

// LaneDeps is what a lane works with.
type LaneDeps struct {
	Console uplink
	Account account
	Store   *Store
	Log     *slog.Logger
}

// Lane brings the console's policy here.
type Lane struct {
	deps LaneDeps
	// opened is when the last stream began.
	opened time.Time
}

// NewLane makes a lane that does nothing until Run.
func NewLane(deps LaneDeps) *Lane { return &Lane{deps: deps} }

// Run watches until ctx ends. While the console is away, or has cut this installation off, what is in force stays so.
func (l *Lane) Run(ctx context.Context) error {
	pause := minPause
	for ctx.Err() == nil {
		l.opened = time.Now()
		err := l.deps.Account.Call(ctx, l.watch)
		wait := pause
		switch {
		case time.Since(l.opened) >= settled:
			// Also when it was refused: tokens end, and streams with them.
			pause, wait = minPause, minPause
		case installation.Refused(err):
			wait = refusedPause
		default:
			pause = min(2*pause, maxPause)
		}
		l.deps.Log.Debug("the watch on the console's policy ended; what is in force stays so", logkey.Error, err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

func (l *Lane) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.opened = time.Now()
	have, _ := l.deps.Store.State()
	stream, err := l.deps.Console.WatchPolicy(ctx, &consolev1.WatchPolicyRequest{HaveSequence: have})
	if err != nil {
		return fmt.Errorf("watching the console's policy: %w", err)
	}
	for {
		answer, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("watching the console's policy: %w", err)
		}
		if answer.GetBundle() == nil {
			continue
		}
		if err := l.deps.Store.Offer(answer.GetBundle()); err != nil {
			// The next stream brings it again.
			return err
		}
	}
}
