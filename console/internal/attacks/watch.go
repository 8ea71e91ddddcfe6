package attacks

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/changes"
	"github.com/sidelight/sidelight/console/internal/edge"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

const (
	// quiet is the least time between two messages of one stream.
	quiet = time.Second
	// recheck is how long a stream may outlive its session.
	recheck = 10 * time.Second
)

// WatchChanges says at once that something changed, then at most once a second.
func (s *Service) WatchChanges(ctx context.Context, _ *connect.Request[consolev1.WatchChangesRequest], out *connect.ServerStream[consolev1.WatchChangesResponse]) error {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return edge.Nobody()
	}
	sub, err := s.hub.Subscribe(p.Org, changes.Pages)
	if err != nil {
		return connect.NewError(connect.CodeResourceExhausted, err)
	}
	defer sub.Close()
	// The headers alone: the page knows now that no change will be missed.
	if err := out.Send(nil); err != nil {
		return err
	}
	return s.follow(ctx, p, sub, func(k changes.Kind) error {
		return out.Send(&consolev1.WatchChangesResponse{Attacks: k&changes.Attacks != 0, Endpoints: k&changes.Endpoints != 0})
	})
}

func (s *Service) follow(ctx context.Context, p caller.Person, sub *changes.Subscription, send func(changes.Kind) error) error {
	check := time.NewTicker(recheck)
	defer check.Stop()
	// A ready subscription is looked at only when the pause after the message before is over.
	var pause <-chan time.Time
	ready := sub.Ready()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.hub.Done():
			return connect.NewError(connect.CodeUnavailable, errors.New("the console stops: connect again"))
		case <-check.C:
			if err := p.Check(ctx); err != nil {
				return edge.Failure(ctx, s.log, "checking a session", err)
			}
		case <-pause:
			pause, ready = nil, sub.Ready()
		case <-ready:
			if k := sub.Take(); k != 0 {
				if err := send(k); err != nil {
					return err
				}
				pause, ready = time.After(quiet), nil
			}
		}
	}
}
