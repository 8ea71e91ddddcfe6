package people

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/edge"
	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
)

const (
	// cookieName binds the cookie to this host alone and to TLS; browsers hold that for the prefix.
	cookieName = "__Host-sidelight"
	idle       = 12 * time.Hour
	// longest is the life of a session that is never idle.
	longest = 7 * 24 * time.Hour
	// touched is how exact last use is: a write per minute, not per request.
	touched = time.Minute
)

// newSession makes a session and gives its cookie. The database has only the hash.
func (s *Service) newSession(ctx context.Context, q *dbsqlc.Queries, org int64, user string) (string, error) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	id := base64.RawURLEncoding.EncodeToString(raw)
	err := q.InsertSession(ctx, dbsqlc.InsertSessionParams{OrgID: org, IDHash: idHash(id), UserName: user, CreatedAt: s.now()})
	if err != nil {
		return "", fmt.Errorf("storing a session: %w", err)
	}
	return cookie(id, 0).String(), nil
}

func cookie(id string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: id, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

// sessionID gives the session id of a request's headers, "" if there is none.
func sessionID(h http.Header) string {
	c, err := (&http.Request{Header: h}).Cookie(cookieName)
	if err != nil || len(c.Value) > 64 {
		return ""
	}
	return c.Value
}

func idHash(id string) []byte {
	sum := sha256.Sum256([]byte(id))
	return sum[:]
}

// person finds out who a session belongs to. With touch it counts as use.
func (s *Service) person(ctx context.Context, id string, touch bool) (caller.Person, error) {
	if id == "" {
		return caller.Person{}, edge.Nobody()
	}
	now := s.now()
	row, err := s.store.Q().GetSession(ctx, dbsqlc.GetSessionParams{
		IDHash: idHash(id), IdleSince: now.Add(-idle), CreatedSince: now.Add(-longest),
	})
	if store.Missing(err) {
		return caller.Person{}, edge.Nobody()
	}
	if err != nil {
		return caller.Person{}, err
	}
	if touch && now.Sub(row.LastUsedAt) >= touched {
		err := s.store.Q().TouchSession(ctx, dbsqlc.TouchSessionParams{OrgID: row.OrgID, IDHash: idHash(id), LastUsedAt: now})
		if err != nil {
			return caller.Person{}, err
		}
	}
	return caller.Person{
		Org: row.OrgID, Organisation: row.Organisation, User: row.UserName, MustChange: row.MustChange,
		Check: func(ctx context.Context) error {
			_, err := s.person(ctx, id, false)
			return err
		},
	}, nil
}

// Sweep deletes sessions that have ended.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.now()
	_, err := s.store.Q().DeleteOldSessions(ctx, dbsqlc.DeleteOldSessionsParams{
		IdleSince: now.Add(-idle), CreatedSince: now.Add(-longest),
	})
	if err != nil {
		return fmt.Errorf("deleting old sessions: %w", err)
	}
	return nil
}
