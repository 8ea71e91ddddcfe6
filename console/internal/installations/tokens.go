package installations

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/sidelight/sidelight/console/internal/changes"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
)

// ErrUnknown says that there is no such token or installation in the organisation that asked.
var ErrUnknown = errors.New("there is no such token or installation: the list shows what there is")

// CreateToken makes a token for new installations of org. Only its hash is kept.
func (r *Registry) CreateToken(ctx context.Context, org int64, name string) (id, token string, err error) {
	id, token = hex.EncodeToString(random(8)), newToken()
	err = r.store.Q().InsertToken(ctx, dbsqlc.InsertTokenParams{
		OrgID: org, TokenID: id, Name: name, TokenHash: tokenHash(token), CreatedAt: r.now(),
	})
	if err != nil {
		return "", "", fmt.Errorf("storing a token: %w", err)
	}
	return id, token, nil
}

// RegenerateToken gives a token a new secret, also one that was revoked. Whoever registered with the old one is cut off.
func (r *Registry) RegenerateToken(ctx context.Context, org int64, id string) (string, error) {
	token := newToken()
	return token, r.cutOff(ctx, org, "regenerating a token", func(q *dbsqlc.Queries) (int64, error) {
		return q.RegenerateToken(ctx, dbsqlc.RegenerateTokenParams{OrgID: org, TokenID: id, TokenHash: tokenHash(token)})
	})
}

// RevokeToken cuts off whoever registered with a token.
func (r *Registry) RevokeToken(ctx context.Context, org int64, id string) error {
	return r.cutOff(ctx, org, "revoking a token", func(q *dbsqlc.Queries) (int64, error) {
		return q.RevokeToken(ctx, dbsqlc.RevokeTokenParams{OrgID: org, TokenID: id, RevokedAt: r.now()})
	})
}

// RevokeInstallation cuts off one installation.
func (r *Registry) RevokeInstallation(ctx context.Context, org int64, id string) error {
	return r.cutOff(ctx, org, "revoking an installation", func(q *dbsqlc.Queries) (int64, error) {
		return q.RevokeInstallation(ctx, dbsqlc.RevokeInstallationParams{OrgID: org, InstallationID: id, RevokedAt: r.now()})
	})
}

// cutOff changes something, and lets open streams look whether it was theirs.
func (r *Registry) cutOff(ctx context.Context, org int64, doing string, change func(q *dbsqlc.Queries) (int64, error)) error {
	err := r.store.Tx(ctx, func(q *dbsqlc.Queries) error {
		changed, err := change(q)
		if err != nil {
			return err
		}
		if changed == 0 {
			return ErrUnknown
		}
		return changes.Announce(ctx, q, org, changes.Credentials)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

func newToken() string { return "sl1_" + base64.RawURLEncoding.EncodeToString(random(secretSize)) }

func tokenHash(token string) []byte {
	sum := sha256.Sum256([]byte("sidelight token\n" + token))
	return sum[:]
}
