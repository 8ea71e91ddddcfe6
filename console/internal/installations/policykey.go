package installations

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sidelight/sidelight/console/internal/signer"
	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	"github.com/sidelight/sidelight/internal/logkey"
)

// policyKey is what an installation pins: the signer's key. A console without a signer hands out the key that there was
// before, so that installations of an earlier release can still register; a new console has none.
func (r *Registry) policyKey(ctx context.Context, q *dbsqlc.Queries, org int64) ([]byte, error) {
	before, err := q.GetPolicyKey(ctx, org)
	if err != nil && !store.Missing(err) {
		return nil, fmt.Errorf("reading the policy key: %w", err)
	}
	key, err := r.signer.PublicKey(ctx)
	switch {
	case errors.Is(err, signer.ErrNone) && len(before) > 0:
		return before, nil
	case err != nil:
		r.log.WarnContext(ctx, "an installation cannot register: there is no key for it to pin", logkey.Error, err)
		return nil, ErrNoKey
	case bytes.Equal(key, before):
		return key, nil
	}
	if err := q.PinPolicyKey(ctx, dbsqlc.PinPolicyKeyParams{OrgID: org, PublicKey: key}); err != nil {
		return nil, fmt.Errorf("noting the signer's key: %w", err)
	}
	if len(before) > 0 {
		r.log.WarnContext(ctx, "the signer has another key than what installations pinned before: those refuse its policies until they register again")
	}
	return key, nil
}
