package people

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
)

const (
	// admin is the one person of organisation 1 that exists from the start.
	admin    = "admin"
	adminOrg = 1
	// secretLife is how long the one-time secret is good for.
	secretLife = 15 * time.Minute
)

// Prepare makes a one-time secret for the administrator who has not chosen a password yet, and shows it once. A new
// start makes a new one; what was made before is void, sessions included.
func (s *Service) Prepare(ctx context.Context, show func(secret string)) error {
	secret := newSecret()
	hash, err := s.hasher.hash(ctx, secret)
	if err != nil {
		return err
	}
	now := s.now()
	expires := now.Add(secretLife)
	var made int64
	err = s.store.Tx(ctx, func(q *dbsqlc.Queries) error {
		made, err = q.PutSecret(ctx, dbsqlc.PutSecretParams{
			OrgID: adminOrg, UserName: admin, PasswordHash: hash, SecretExpiresAt: &expires, ChangedAt: now,
		})
		if err != nil || made == 0 {
			return err
		}
		return q.DeleteSessionsOf(ctx, dbsqlc.DeleteSessionsOfParams{OrgID: adminOrg, UserName: admin})
	})
	if err != nil {
		return fmt.Errorf("making the one-time admin secret: %w", err)
	}
	if made > 0 {
		show(secret)
	}
	return nil
}

// newSecret gives 100 random bits in letters that are easy to type, in groups of five.
func newSecret() string {
	raw := make([]byte, 15)
	_, _ = rand.Read(raw)
	text := strings.ToLower(base32.StdEncoding.EncodeToString(raw))[:20]
	return text[:5] + "-" + text[5:10] + "-" + text[10:15] + "-" + text[15:]
}
