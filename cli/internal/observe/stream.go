package observe

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidelight/sidelight/internal/render"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
)

// receiver is an open stream: all that passes from now on is received.
type receiver interface {
	Recv() (*aggregatorv1.TailResponse, error)
	Close()
}

// opener opens the stream of one aggregator.
type opener func(ctx context.Context, address string) (receiver, error)

// pauses lie between attempts to reach an aggregator again.
type pauses struct{ first, longest time.Duration }

func defaultPauses() pauses { return pauses{500 * time.Millisecond, 15 * time.Second} }

// before gives the pause before an attempt: none before the first, then doubling, spread so that many tools do not come at once.
func (p pauses) before(attempt int) time.Duration {
	if attempt == 0 {
		return 0
	}
	pause := p.longest
	if attempt < 30 {
		pause = min(p.first<<(attempt-1), p.longest)
	}
	return pause/2 + rand.N(pause/2+1) //nolint:gosec // a pause is no secret
}

// stream reads one aggregator, again and again, while it is wanted. Its error is one that another attempt cannot mend.
type stream struct {
	address string
	open    opener
	pauses  pauses
	wanted  func() bool
	events  chan<- event

	// The end of the last time that it was open.
	lost time.Time
	// The person was told that it is away.
	told bool
}

func (s *stream) run(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		pause := time.NewTimer(s.pauses.before(attempt))
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
		lasted, err := s.once(ctx)
		switch {
		case ended(ctx):
			return nil
		case hopeless(err):
			return fmt.Errorf("aggregator %s refused: %s", s.address, render.Terminal(reason(err)))
		case !s.wanted():
			note(ctx, s.events, "aggregator %s left", s.address)
			return nil
		case lasted > s.pauses.first:
			// The next attempt comes at once: most breaks are a connection that is renewed.
			attempt = -1
		case lasted == 0 && !s.told:
			s.told = true
			note(ctx, s.events, "aggregator %s is away, trying again until it is back: %s", s.address, reason(err))
		}
	}
}

// once reads until the stream breaks, and tells how long it was open.
func (s *stream) once(ctx context.Context) (lasted time.Duration, err error) {
	in, err := s.open(ctx, s.address)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	opened := time.Now()
	defer func() {
		s.lost = time.Now()
		// Open it was.
		lasted = max(s.lost.Sub(opened), 1)
	}()
	if s.lost.IsZero() {
		note(ctx, s.events, "watching aggregator %s", s.address)
	} else {
		note(ctx, s.events, "aggregator %s is back: what passed there for %s was not shown", s.address, opened.Sub(s.lost).Round(time.Millisecond))
	}
	s.told = false
	for {
		response, err := in.Recv()
		if err != nil {
			return 0, err
		}
		select {
		case s.events <- event{response: response}:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func note(ctx context.Context, events chan<- event, format string, args ...any) {
	select {
	case events <- event{note: fmt.Sprintf(format, args...)}:
	case <-ctx.Done():
	}
}

func ended(ctx context.Context) bool { return ctx.Err() != nil }

// hopeless tells that the aggregator understood, and said no.
func hopeless(err error) bool {
	switch status.Code(err) {
	case codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument, codes.Unimplemented:
		return true
	default:
		return false
	}
}

// reason is an error without the words that gRPC puts before each.
func reason(err error) string {
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}
	return err.Error()
}
