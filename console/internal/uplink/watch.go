package uplink

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/changes"
	"github.com/sidelight/sidelight/console/internal/installations"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

// recheck is how long an open stream may outlive an access token that ran out. What is revoked ends it at once.
const recheck = 5 * time.Second

// WatchPolicy gives the newest policy at once, unless the installation has it, and each newer one as it is published. It ends
// with the access token: the installation opens another.
func (s *Service) WatchPolicy(ctx context.Context, req *connect.Request[consolev1.WatchPolicyRequest], out *connect.ServerStream[consolev1.WatchPolicyResponse]) error {
	i, ok := caller.InstallationOf(ctx)
	if !ok {
		return s.failure(ctx, "watching policy", installations.ErrAccess)
	}
	// Before anything is read, so that nothing is missed between the two.
	sub, err := s.hub.Subscribe(i.Org, changes.Installations)
	if err != nil {
		return connect.NewError(connect.CodeResourceExhausted, err)
	}
	defer sub.Close()
	if err := out.Send(nil); err != nil {
		return err
	}
	check := time.NewTicker(recheck)
	defer check.Stop()
	have := req.Msg.GetHaveSequence()
	for look := true; ; {
		// First: who was cut off is told nothing more.
		if err := i.Check(ctx); err != nil {
			return s.failure(ctx, "checking an access token", err)
		}
		if look {
			bundle, sequence, err := s.policy.Newest(ctx, i.Org, have)
			if err != nil {
				return s.failure(ctx, "reading the newest policy", err)
			}
			if bundle != nil {
				if err := out.Send(&consolev1.WatchPolicyResponse{Bundle: bundle}); err != nil {
					return err
				}
				have = sequence
			}
		}
		look = false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.hub.Done():
			return connect.NewError(connect.CodeUnavailable, errors.New("the console stops: connect again"))
		case <-sub.Ready():
			look = sub.Take()&changes.Policy != 0
		case <-check.C:
		}
	}
}
