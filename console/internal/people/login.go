package people

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"github.com/sidelight/sidelight/console/internal/edge"
	"github.com/sidelight/sidelight/console/internal/ratelimit"
	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	"github.com/sidelight/sidelight/internal/logkey"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

// errLogin is shared, so it leaves only through edge.Failure.
var errLogin = connect.NewError(connect.CodeUnauthenticated,
	errors.New("wrong user or password, or a one-time secret that was used or is too old: a restart of the console makes a new one"))

// Login starts a session.
func (s *Service) Login(ctx context.Context, req *connect.Request[consolev1.LoginRequest]) (*connect.Response[consolev1.LoginResponse], error) {
	address, user := ratelimit.Address(req.Peer().Addr), store.Text(req.Msg.GetUser(), store.IDWidth)
	if !s.byAddress.Take(address) || !s.byUser.Take(user) {
		s.logins.Login(ctx, "limited")
		return nil, connect.NewError(connect.CodeResourceExhausted, errors.New("too many tries: wait a minute"))
	}
	person, err := s.verify(ctx, user, req.Msg.GetPassword())
	var header string
	if err == nil {
		header, err = s.open(ctx, person, sessionID(req.Header()))
	}
	if err != nil {
		if errors.Is(err, errLogin) {
			s.logins.Login(ctx, "refused")
			s.log.WarnContext(ctx, "login refused", logkey.Address, address)
		}
		return nil, edge.Failure(ctx, s.log, "login", err)
	}
	// It was no guess.
	s.byAddress.GiveBack(address)
	s.byUser.GiveBack(user)
	s.logins.Login(ctx, "accepted")
	res := connect.NewResponse(&consolev1.LoginResponse{MustChangePassword: person.MustChange})
	res.Header().Set("Set-Cookie", header)
	return res, nil
}

// open uses up a one-time secret, ends the session that the browser had, and makes a new one.
func (s *Service) open(ctx context.Context, person dbsqlc.ConsolePerson, old string) (header string, err error) {
	err = s.store.Tx(ctx, func(q *dbsqlc.Queries) error {
		if person.MustChange {
			now := s.now()
			used, err := q.UseSecret(ctx, dbsqlc.UseSecretParams{
				UsedAt: &now, OrgID: person.OrgID, UserName: person.UserName, PasswordHash: person.PasswordHash,
			})
			if err != nil {
				return err
			}
			if used == 0 {
				return errLogin
			}
		}
		if old != "" {
			if err := q.DeleteSession(ctx, idHash(old)); err != nil {
				return err
			}
		}
		header, err = s.newSession(ctx, q, person.OrgID, person.UserName)
		return err
	})
	return header, err
}

// verify does the same work whether the user exists or not.
func (s *Service) verify(ctx context.Context, user, password string) (dbsqlc.ConsolePerson, error) {
	person, err := s.store.Q().FindPerson(ctx, user)
	known := err == nil
	if !known {
		if !store.Missing(err) {
			return dbsqlc.ConsolePerson{}, err
		}
		person.PasswordHash = s.hasher.decoy
	}
	long := len(password) > maxPassword
	if long {
		password = password[:maxPassword]
	}
	right, err := s.hasher.verify(ctx, person.PasswordHash, password)
	if err != nil {
		return dbsqlc.ConsolePerson{}, err
	}
	if !right || !known || long {
		return dbsqlc.ConsolePerson{}, errLogin
	}
	return person, nil
}
