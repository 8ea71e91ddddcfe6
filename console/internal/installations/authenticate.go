package installations

import (
	"context"
	"fmt"

	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/store"
)

// Authenticate finds out which installation an access token belongs to, and that it holds now. It asks the database each
// time, so that what was revoked is refused at its very next call, whichever process of the console takes that.
func (r *Registry) Authenticate(ctx context.Context, token string) (caller.Installation, error) {
	c, err := parse(token, r.now(), r.secretOf)
	if err != nil {
		return caller.Installation{}, err
	}
	i, err := r.store.Q().GetInstallation(ctx, store.Text(c.Installation, store.IDWidth))
	if err != nil && !store.Missing(err) {
		return caller.Installation{}, fmt.Errorf("reading an installation: %w", err)
	}
	if err != nil || !i.Valid || i.OrgID != c.Org || i.TokenGeneration != c.Generation {
		return caller.Installation{}, ErrRevoked
	}
	return caller.Installation{
		Org: c.Org, ID: c.Installation, Cluster: i.Cluster,
		Check: func(ctx context.Context) error {
			_, err := r.Authenticate(ctx, token)
			return err
		},
	}, nil
}
