package people

import (
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/edge"
)

func mustChange() error {
	return connect.NewError(connect.CodeFailedPrecondition, errors.New("choose a password first (ChangePassword)"))
}

// Gate lets a request through to next with its person, or answers it. Login alone needs no session; who must change
// the password may do that, sign out, and ask who they are.
func (s *Service) Gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == consolev1connect.SessionServiceLoginProcedure {
			next.ServeHTTP(w, r)
			return
		}
		p, err := s.person(r.Context(), sessionID(r.Header), true)
		if err != nil {
			edge.Refuse(w, r, edge.Failure(r.Context(), s.log, "checking a session", err))
			return
		}
		if p.MustChange && !allowedBeforeChange(r.URL.Path) {
			edge.Refuse(w, r, mustChange())
			return
		}
		next.ServeHTTP(w, r.WithContext(caller.WithPerson(r.Context(), p)))
	})
}

func allowedBeforeChange(procedure string) bool {
	switch procedure {
	case consolev1connect.SessionServiceChangePasswordProcedure,
		consolev1connect.SessionServiceLogoutProcedure,
		consolev1connect.SessionServiceWhoAmIProcedure:
		return true
	default:
		return false
	}
}
