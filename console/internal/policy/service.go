package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/edge"
	"github.com/sidelight/sidelight/console/internal/signer"
	"github.com/sidelight/sidelight/internal/logkey"
	sealed "github.com/sidelight/sidelight/internal/policy"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
)

// MaxMessage bounds a request, unpacked.
const MaxMessage = maxContent + 1<<20

// maxListed bounds the history that is shown.
const maxListed = 500

// Service answers PolicyService.
type Service struct {
	keeper *Keeper
	log    *slog.Logger
}

var _ consolev1connect.PolicyServiceHandler = (*Service)(nil)

// NewService makes the service.
func NewService(k *Keeper, log *slog.Logger) *Service { return &Service{keeper: k, log: log} }

// GetPolicy gives the newest policy, and what the parts say of it.
func (s *Service) GetPolicy(ctx context.Context, _ *connect.Request[consolev1.GetPolicyRequest]) (*connect.Response[consolev1.GetPolicyResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	out := &consolev1.GetPolicyResponse{}
	b, sequence, err := s.keeper.Newest(ctx, p.Org, 0)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading the policy", err)
	}
	if b != nil {
		content, err := sealed.Content(b)
		if err != nil {
			return nil, edge.Failure(ctx, s.log, "decoding the policy", err)
		}
		out.Sequence = sequence
		out.Content = &consolev1.PolicyContent{
			Rules: content.Rules, Masks: content.Masks, Budgets: content.Budgets, TrustedCidrs: content.Trusted,
		}
	}
	if out.States, err = s.keeper.states(ctx, p.Org); err != nil {
		return nil, edge.Failure(ctx, s.log, "reading the parts' states", err)
	}
	return connect.NewResponse(out), nil
}

// PublishPolicy signs and hands out new content.
func (s *Service) PublishPolicy(ctx context.Context, req *connect.Request[consolev1.PublishPolicyRequest]) (*connect.Response[consolev1.PublishPolicyResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	c, from := req.Msg.GetContent(), req.Msg.GetFromSequence()
	if err := validate(c, req.Msg.GetComment()); err != nil {
		return nil, edge.Invalid(err)
	}
	sequence, err := s.publish(ctx, draft{
		org: p.Org, by: p.User, comment: req.Msg.GetComment(), from: &from,
		content: sealed.Policy{Rules: c.GetRules(), Masks: c.GetMasks(), Budgets: c.GetBudgets(), Trusted: c.GetTrustedCidrs()},
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&consolev1.PublishPolicyResponse{Sequence: sequence}), nil
}

// RollBackPolicy hands out what an earlier policy held.
func (s *Service) RollBackPolicy(ctx context.Context, req *connect.Request[consolev1.RollBackPolicyRequest]) (*connect.Response[consolev1.RollBackPolicyResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	to := req.Msg.GetToSequence()
	if to == 0 || to > math.MaxInt64 {
		return nil, edge.Invalid(errors.New("to_sequence is no sequence: choose one of the list"))
	}
	b, err := load(ctx, s.keeper.store.Q(), p.Org, int64(to))
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading an earlier policy", err)
	}
	content, err := sealed.Content(b)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "decoding an earlier policy", err)
	}
	sequence, err := s.publish(ctx, draft{org: p.Org, by: p.User, comment: fmt.Sprintf("roll-back to %d", to), content: content})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&consolev1.RollBackPolicyResponse{Sequence: sequence}), nil
}

// ListPolicies gives the manifests, newest first.
func (s *Service) ListPolicies(ctx context.Context, _ *connect.Request[consolev1.ListPoliciesRequest]) (*connect.Response[consolev1.ListPoliciesResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	rows, err := s.keeper.manifests(ctx, p.Org)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading policies", err)
	}
	out := &consolev1.ListPoliciesResponse{}
	for _, row := range rows {
		m := &policyv1.Manifest{}
		if err := proto.Unmarshal(row, m); err != nil {
			return nil, edge.Failure(ctx, s.log, "decoding a manifest", err)
		}
		out.Policies = append(out.Policies, m)
	}
	return connect.NewResponse(out), nil
}

// publish maps what a person can do something about.
func (s *Service) publish(ctx context.Context, d draft) (uint64, error) {
	sequence, err := s.keeper.publish(ctx, d)
	switch {
	case err == nil:
		s.log.InfoContext(ctx, "policy published", "sequence", sequence, "by", d.by)
		return sequence, nil
	case errors.Is(err, errConflict):
		return 0, connect.NewError(connect.CodeAborted, err)
	case errors.Is(err, signer.ErrNone):
		return 0, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("policy cannot be published: %w", signer.ErrNone))
	case errors.Is(err, signer.ErrAway):
		s.log.WarnContext(ctx, "a policy was not published", logkey.Error, err)
		return 0, connect.NewError(connect.CodeUnavailable, fmt.Errorf("policy cannot be published now: %w", signer.ErrAway))
	default:
		return 0, edge.Failure(ctx, s.log, "publishing a policy", err)
	}
}
