// Package installations knows the clusters and hosts that report to this console: their tokens, keys, credentials
// and last status.
package installations

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
)

const (
	// bootstrapOrg and bootstrapToken name the token that comes from the configuration.
	bootstrapOrg   = 1
	bootstrapToken = "bootstrap"
	secretSize     = 32
)

// What an installation may be told.
var (
	ErrToken   = errors.New("unknown or revoked token: create one in the console")
	ErrTaken   = errors.New("this cluster is registered already with another token that is still good: choose another cluster name")
	ErrInvalid = errors.New("registration needs a cluster name of 1 to 128 printable bytes and an Ed25519 public key")
	ErrProof   = errors.New("unknown installation, wrong signature, or a clock that is more than 5 minutes off")
	ErrRevoked = errors.New("this installation or its token was revoked: register again with a new token")
)

// Registry is the console's side of registration and credentials.
type Registry struct {
	store *store.Store
	log   *slog.Logger
	now   func() time.Time
	cache cache

	mu      sync.RWMutex
	secrets map[int64][]byte
}

// New makes a registry that signs nothing until Prepare.
func New(s *store.Store, log *slog.Logger, now func() time.Time) *Registry {
	return &Registry{store: s, log: log, now: now, cache: cache{entries: map[cacheKey]cached{}}, secrets: map[int64][]byte{}}
}

// Prepare makes the keys of the first organisation at first start, and installs the configured token, if any.
func (r *Registry) Prepare(ctx context.Context, token string) error {
	secret := random(secretSize)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("making the policy key: %w", err)
	}
	err = r.store.Tx(ctx, func(q *dbsqlc.Queries) error {
		now := r.now()
		if err := q.PutAccessKey(ctx, dbsqlc.PutAccessKeyParams{OrgID: bootstrapOrg, Secret: secret, CreatedAt: now}); err != nil {
			return err
		}
		made, err := q.PutPolicyKey(ctx, dbsqlc.PutPolicyKeyParams{OrgID: bootstrapOrg, PublicKey: public})
		if err != nil {
			return err
		}
		if made > 0 {
			if err := q.PutPolicyPrivateKey(ctx, dbsqlc.PutPolicyPrivateKeyParams{OrgID: bootstrapOrg, PrivateKey: private}); err != nil {
				return err
			}
		}
		if token != "" {
			err := q.PutToken(ctx, dbsqlc.PutTokenParams{
				OrgID: bootstrapOrg, TokenID: bootstrapToken, Name: "from the configuration", TokenHash: tokenHash(token), CreatedAt: now,
			})
			if err != nil {
				return err
			}
		}
		secret, err = q.GetAccessKey(ctx, bootstrapOrg)
		return err
	})
	if err != nil {
		return fmt.Errorf("preparing keys and tokens: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets[bootstrapOrg] = secret
	return nil
}

func (r *Registry) secretOf(org int64) []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.secrets[org]
}

// CreateToken makes a token for new installations of org. Only its hash is kept.
func (r *Registry) CreateToken(ctx context.Context, org int64, name string) (string, error) {
	token := "sl1_" + base64.RawURLEncoding.EncodeToString(random(secretSize))
	err := r.store.Q().InsertToken(ctx, dbsqlc.InsertTokenParams{
		OrgID: org, TokenID: hex.EncodeToString(random(8)), Name: name, TokenHash: tokenHash(token), CreatedAt: r.now(),
	})
	if err != nil {
		return "", fmt.Errorf("storing a token: %w", err)
	}
	return token, nil
}

func tokenHash(token string) []byte {
	sum := sha256.Sum256([]byte("sidelight token\n" + token))
	return sum[:]
}

func random(n int) []byte {
	b := make([]byte, n)
	// Never fails: the runtime ends the process instead.
	_, _ = rand.Read(b)
	return b
}
