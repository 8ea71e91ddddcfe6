package people

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"connectrpc.com/connect"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/edge"
	"github.com/sidelight/sidelight/console/internal/ratelimit"
	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

// Service answers SessionService.
type Service struct {
	store  *store.Store
	log    *slog.Logger
	now    func() time.Time
	hasher *hasher
	logins logins
	// byAddress and byUser bound guessing from one place and of one person.
	byAddress, byUser *ratelimit.Limiter
}

type logins interface {
	Login(ctx context.Context, result string)
}

var _ consolev1connect.SessionServiceHandler = (*Service)(nil)

// New makes the service.
func New(s *store.Store, log *slog.Logger, counted logins, now func() time.Time) *Service {
	return &Service{
		store: s, log: log, now: now, hasher: newHasher(), logins: counted,
		byAddress: ratelimit.New(10, 10*time.Second, now),
		byUser:    ratelimit.New(20, 5*time.Second, now),
	}
}

// ChangePassword sets a new password and ends all other sessions of the person.
func (s *Service) ChangePassword(ctx context.Context, req *connect.Request[consolev1.ChangePasswordRequest]) (*connect.Response[consolev1.ChangePasswordResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	// A session that somebody left open must not be enough.
	if !p.MustChange {
		if err := s.prove(ctx, p, req.Msg.GetCurrentPassword()); err != nil {
			return nil, edge.Failure(ctx, s.log, "checking a password", err)
		}
	}
	password := req.Msg.GetNewPassword()
	if err := acceptable(password, p.User); err != nil {
		return nil, edge.Invalid(err)
	}
	header, err := s.change(ctx, p, password)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "changing a password", err)
	}
	res := connect.NewResponse(&consolev1.ChangePasswordResponse{})
	res.Header().Set("Set-Cookie", header)
	return res, nil
}

// prove checks the password that is in force; guesses count as those of a login.
func (s *Service) prove(ctx context.Context, p caller.Person, password string) error {
	if !s.byUser.Take(p.User) {
		return connect.NewError(connect.CodeResourceExhausted, errors.New("too many tries: wait a minute"))
	}
	person, err := s.store.Q().GetPerson(ctx, dbsqlc.GetPersonParams{OrgID: p.Org, UserName: p.User})
	if err != nil {
		return err
	}
	right := false
	if len(password) <= maxPassword {
		if right, err = s.hasher.verify(ctx, person.PasswordHash, password); err != nil {
			return err
		}
	}
	if !right {
		s.logins.Login(ctx, "refused")
		return connect.NewError(connect.CodePermissionDenied, errors.New("the current password is wrong"))
	}
	s.byUser.GiveBack(p.User)
	return nil
}

func (s *Service) change(ctx context.Context, p caller.Person, password string) (header string, err error) {
	person, err := s.store.Q().GetPerson(ctx, dbsqlc.GetPersonParams{OrgID: p.Org, UserName: p.User})
	if err != nil {
		return "", err
	}
	same, err := s.hasher.verify(ctx, person.PasswordHash, password)
	if err != nil {
		return "", err
	}
	if same {
		return "", edge.Invalid(errors.New("the new password is the old one: choose another"))
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return "", err
	}
	err = s.store.Tx(ctx, func(q *dbsqlc.Queries) error {
		n, err := q.SetPassword(ctx, dbsqlc.SetPasswordParams{
			PasswordHash: hash, ChangedAt: s.now(), OrgID: p.Org, UserName: p.User, OldHash: person.PasswordHash,
		})
		if err != nil {
			return err
		}
		if n == 0 {
			return connect.NewError(connect.CodeAborted, errors.New("the password was just changed elsewhere: sign in again"))
		}
		if err := q.DeleteSessionsOf(ctx, dbsqlc.DeleteSessionsOfParams{OrgID: p.Org, UserName: p.User}); err != nil {
			return err
		}
		header, err = s.newSession(ctx, q, p.Org, p.User)
		return err
	})
	return header, err
}

// Logout ends the session.
func (s *Service) Logout(ctx context.Context, req *connect.Request[consolev1.LogoutRequest]) (*connect.Response[consolev1.LogoutResponse], error) {
	if err := s.store.Q().DeleteSession(ctx, idHash(sessionID(req.Header()))); err != nil {
		return nil, edge.Failure(ctx, s.log, "logout", err)
	}
	res := connect.NewResponse(&consolev1.LogoutResponse{})
	res.Header().Set("Set-Cookie", cookie("", -1).String())
	return res, nil
}

// WhoAmI says whose session it is.
func (s *Service) WhoAmI(ctx context.Context, _ *connect.Request[consolev1.WhoAmIRequest]) (*connect.Response[consolev1.WhoAmIResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	return connect.NewResponse(&consolev1.WhoAmIResponse{
		User: p.User, Organisation: p.Organisation, MustChangePassword: p.MustChange,
	}), nil
}
