package signer

import (
	"context"
	"errors"
	"log/slog"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	"github.com/sidelight/sidelight/internal/logkey"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

// service answers SignerService.
type service struct {
	vault *vault
	log   *slog.Logger
}

var _ consolev1connect.SignerServiceHandler = (*service)(nil)

// PublicKey gives what installations pin.
func (s *service) PublicKey(context.Context, *connect.Request[consolev1.PublicKeyRequest]) (*connect.Response[consolev1.PublicKeyResponse], error) {
	return connect.NewResponse(&consolev1.PublicKeyResponse{Key: s.vault.public()}), nil
}

// Sign signs a manifest. A refusal of its sequence carries the last one, so that the console can go on above it.
func (s *service) Sign(ctx context.Context, req *connect.Request[consolev1.SignRequest]) (*connect.Response[consolev1.SignResponse], error) {
	signature, m, err := s.vault.sign(req.Msg.GetManifest())
	var sequence *SequenceError
	switch {
	case err == nil:
		s.log.InfoContext(ctx, "signed a policy", "organisation", m.GetOrganisation(), "sequence", m.GetSequence())
		return connect.NewResponse(&consolev1.SignResponse{Signature: signature}), nil
	case errors.Is(err, errManifest):
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	case errors.As(err, &sequence):
		refusal := connect.NewError(connect.CodeFailedPrecondition, err)
		if detail, err := connect.NewErrorDetail(wrapperspb.UInt64(sequence.Last)); err == nil {
			refusal.AddDetail(detail)
		}
		return nil, refusal
	default:
		s.log.ErrorContext(ctx, "signing failed", logkey.Error, err)
		return nil, connect.NewError(connect.CodeInternal, errors.New("signing failed: the signer's log has the reason"))
	}
}
