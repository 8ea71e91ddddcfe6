package installations

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/store"
)

const (
	// cacheLife is how long a revoked credential may go on, and what keeps the database out of most calls.
	cacheLife = time.Second
	// cacheSize bounds memory; a full cache is simply emptied.
	cacheSize = 10_000
)

// Authenticate finds out which installation an access token belongs to, and that it holds now.
func (r *Registry) Authenticate(ctx context.Context, token string) (caller.Installation, error) {
	c, err := parse(token, r.now(), r.secretOf)
	if err != nil {
		return caller.Installation{}, err
	}
	key := cacheKey{c.Org, c.Installation, c.Generation}
	now := r.now()
	known, ok := r.cache.get(key, now)
	if !ok {
		i, err := r.store.Q().GetInstallation(ctx, store.Text(c.Installation, store.IDWidth))
		if err != nil && !store.Missing(err) {
			return caller.Installation{}, fmt.Errorf("reading an installation: %w", err)
		}
		// Aged from before the question, so that the answer is never older than cacheLife.
		known = cached{
			at: now, cluster: i.Cluster,
			valid: err == nil && i.Valid && i.OrgID == c.Org && i.TokenGeneration == c.Generation,
		}
		r.cache.put(key, known)
	}
	if !known.valid {
		return caller.Installation{}, ErrRevoked
	}
	return caller.Installation{
		Org: c.Org, ID: c.Installation, Cluster: known.cluster,
		Check: func(ctx context.Context) error {
			_, err := r.Authenticate(ctx, token)
			return err
		},
	}, nil
}

type cacheKey struct {
	org          int64
	installation string
	generation   int64
}

type cached struct {
	at      time.Time
	cluster string
	valid   bool
}

type cache struct {
	mu      sync.Mutex
	entries map[cacheKey]cached
}

func (c *cache) get(k cacheKey, now time.Time) (cached, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[k]
	return e, ok && now.Sub(e.at) < cacheLife && !now.Before(e.at)
}

func (c *cache) put(k cacheKey, e cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= cacheSize {
		clear(c.entries)
	}
	c.entries[k] = e
}
