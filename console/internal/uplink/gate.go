package uplink

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	"github.com/sidelight/sidelight/console/internal/attacks"
	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/coverage"
	"github.com/sidelight/sidelight/console/internal/edge"
	"github.com/sidelight/sidelight/console/internal/installations"
	"github.com/sidelight/sidelight/console/internal/inventory"
)

// Gate checks the access token of every call but the two that give one.
func (s *Service) Gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case consolev1connect.UplinkServiceRegisterProcedure, consolev1connect.UplinkServiceRefreshTokenProcedure:
			next.ServeHTTP(w, r)
			return
		}
		// RFC 9110: the name of the scheme has no case.
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "bearer") {
			token = ""
		}
		i, err := s.registry.Authenticate(r.Context(), token)
		if err != nil {
			s.counted.Upload(r.Context(), "refused")
			edge.Refuse(w, r, s.failure(r.Context(), "checking an access token", err))
			return
		}
		next.ServeHTTP(w, r.WithContext(caller.WithInstallation(r.Context(), i)))
	})
}

// failure maps what an installation may be told; all else is the console's own trouble.
func (s *Service) failure(ctx context.Context, doing string, err error) error {
	for known, code := range map[error]connect.Code{
		installations.ErrAccess:  connect.CodeUnauthenticated,
		installations.ErrProof:   connect.CodeUnauthenticated,
		installations.ErrToken:   connect.CodeUnauthenticated,
		installations.ErrRevoked: connect.CodePermissionDenied,
		installations.ErrTaken:   connect.CodeAlreadyExists,
		installations.ErrInvalid: connect.CodeInvalidArgument,
		installations.ErrUsed:    connect.CodeAborted,
		installations.ErrNoKey:   connect.CodeUnavailable,
		coverage.ErrBad:          connect.CodeInvalidArgument,
		attacks.ErrBad:           connect.CodeInvalidArgument,
		inventory.ErrBad:         connect.CodeInvalidArgument,
	} {
		if errors.Is(err, known) {
			return connect.NewError(code, known)
		}
	}
	return edge.Failure(ctx, s.log, doing, err)
}
