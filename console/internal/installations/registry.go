// Package installations knows the clusters and hosts that report to this console: their tokens, keys, credentials
// and last status.
package installations

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
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
	ErrUsed    = errors.New("this proof was used before: sign a later second")
	ErrNoKey   = errors.New("this console has no key for policies: its administrator starts the signer (signer.socket); try again later")
)

type keys interface {
	PublicKey(ctx context.Context) (ed25519.PublicKey, error)
}

// Registry is the console's side of registration and credentials.
type Registry struct {
	store  *store.Store
	signer keys
	log    *slog.Logger
	now    func() time.Time

	mu      sync.RWMutex
	secrets map[int64][]byte
}

// New makes a registry that signs nothing until Prepare.
func New(s *store.Store, signer keys, log *slog.Logger, now func() time.Time) *Registry {
	return &Registry{store: s, signer: signer, log: log, now: now, secrets: map[int64][]byte{}}
}

// Prepare makes the key of each organisation that has none, and installs the configured token, if any.
func (r *Registry) Prepare(ctx context.Context, token string) error {
	secrets := map[int64][]byte{}
	err := r.store.Tx(ctx, func(q *dbsqlc.Queries) error {
		organisations, err := q.ListOrganisations(ctx)
		if err != nil {
			return err
		}
		now := r.now()
		for _, org := range organisations {
			if err := q.PutAccessKey(ctx, dbsqlc.PutAccessKeyParams{OrgID: org, Secret: random(secretSize), CreatedAt: now}); err != nil {
				return err
			}
			if secrets[org], err = q.GetAccessKey(ctx, org); err != nil {
				return err
			}
		}
		if token == "" {
			return nil
		}
		return q.PutToken(ctx, dbsqlc.PutTokenParams{
			OrgID: bootstrapOrg, TokenID: bootstrapToken, Name: "from the configuration", TokenHash: tokenHash(token), CreatedAt: now,
		})
	})
	if err != nil {
		return fmt.Errorf("preparing keys and tokens: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = secrets
	return nil
}

func (r *Registry) secretOf(org int64) []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.secrets[org]
}

func random(n int) []byte {
	b := make([]byte, n)
	// Never fails: the runtime ends the process instead.
	_, _ = rand.Read(b)
	return b
}
