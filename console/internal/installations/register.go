package installations

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sidelight/sidelight/console/internal/changes"
	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	"github.com/sidelight/sidelight/internal/logkey"
)

// maxSkew is how far the clock of an installation may be off.
const maxSkew = 5 * time.Minute

// Registration is the answer to a good token.
type Registration struct {
	Org          int64
	Installation string
	PolicyKey    []byte
	Access       Access
}

// Access is a short-lived token.
type Access struct {
	Token   string
	Expires time.Time
}

// Register makes an installation for whoever has a token. The same key again is the same installation. A cluster
// that lost its key may come back with the same token; what was there before is revoked.
func (r *Registry) Register(ctx context.Context, token, cluster, version string, key []byte) (Registration, error) {
	if len(key) != ed25519.PublicKeySize || !clusterName(cluster) {
		return Registration{}, ErrInvalid
	}
	var out Registration
	err := r.store.Tx(ctx, func(q *dbsqlc.Queries) error {
		t, err := q.FindToken(ctx, tokenHash(token))
		if store.Missing(err) {
			return ErrToken
		}
		if err != nil {
			return err
		}
		id, err := r.settle(ctx, q, t, cluster, version, key)
		if err != nil {
			return err
		}
		policy, err := r.policyKey(ctx, q, t.OrgID)
		if err != nil {
			return err
		}
		out = Registration{Org: t.OrgID, Installation: id, PolicyKey: policy, Access: r.access(t.OrgID, id, t.Generation)}
		return nil
	})
	if err != nil {
		return Registration{}, fmt.Errorf("registering an installation: %w", err)
	}
	return out, nil
}

// settle finds the installation of a cluster, or makes it.
func (r *Registry) settle(ctx context.Context, q *dbsqlc.Queries, t dbsqlc.FindTokenRow, cluster, version string, key []byte) (string, error) {
	if err := q.LockCluster(ctx, dbsqlc.LockClusterParams{OrgID: t.OrgID, Cluster: cluster}); err != nil {
		return "", err
	}
	old, err := q.GetLiveInstallation(ctx, dbsqlc.GetLiveInstallationParams{OrgID: t.OrgID, Cluster: cluster})
	switch {
	case err != nil && !store.Missing(err):
		return "", err
	case err == nil && old.TokenValid && old.TokenID == t.TokenID && bytes.Equal(old.PublicKey, key):
		return old.InstallationID, nil
	case err == nil && old.TokenValid && old.TokenID != t.TokenID:
		return "", ErrTaken
	}
	// Who was revoked does not come back with what it had: a person regenerates the token for that.
	revoked, err := q.KeyWasRevoked(ctx, dbsqlc.KeyWasRevokedParams{
		OrgID: t.OrgID, TokenID: t.TokenID, TokenGeneration: t.Generation, PublicKey: key,
	})
	if err != nil {
		return "", err
	}
	if revoked {
		return "", ErrRevoked
	}
	if old.InstallationID != "" {
		if err := r.replace(ctx, q, t.OrgID, old.InstallationID, cluster); err != nil {
			return "", err
		}
	}
	id := hex.EncodeToString(random(16))
	err = q.InsertInstallation(ctx, dbsqlc.InsertInstallationParams{
		OrgID: t.OrgID, InstallationID: id, Cluster: cluster, Version: store.Text(version, store.WordWidth), PublicKey: key,
		TokenID: t.TokenID, TokenGeneration: t.Generation, RegisteredAt: r.now(),
	})
	if err != nil || old.InstallationID == "" {
		return id, err
	}
	return id, q.MoveBlindIntervals(ctx, dbsqlc.MoveBlindIntervalsParams{OrgID: t.OrgID, Before: old.InstallationID, Now: id})
}

// replace ends what a cluster was before.
func (r *Registry) replace(ctx context.Context, q *dbsqlc.Queries, org int64, old, cluster string) error {
	_, err := q.RevokeInstallation(ctx, dbsqlc.RevokeInstallationParams{RevokedAt: r.now(), OrgID: org, InstallationID: old})
	if err != nil {
		return err
	}
	r.log.WarnContext(ctx, "a cluster registered again, its old installation is revoked",
		"cluster", cluster, "installation", old, logkey.Reason, "registered again")
	return changes.Announce(ctx, q, org, changes.Credentials)
}

// Refresh gives an access token to whoever proves the installation's key.
func (r *Registry) Refresh(ctx context.Context, installation string, at time.Time, signature []byte) (Access, error) {
	if skew := r.now().Sub(at).Abs(); skew > maxSkew {
		return Access{}, ErrProof
	}
	i, err := r.store.Q().GetInstallation(ctx, store.Text(installation, store.IDWidth))
	if store.Missing(err) {
		return Access{}, ErrProof
	}
	if err != nil {
		return Access{}, fmt.Errorf("reading an installation: %w", err)
	}
	message := "sidelight-refresh\n" + installation + "\n" + at.UTC().Format(time.RFC3339)
	if len(i.PublicKey) != ed25519.PublicKeySize || !ed25519.Verify(i.PublicKey, []byte(message), signature) {
		return Access{}, ErrProof
	}
	// Only who proved the key learns that it is revoked.
	if !i.Valid {
		return Access{}, ErrRevoked
	}
	// What was signed is the second, so that is what is good once: somebody who saw it on its way cannot use it again.
	fresh, err := r.store.Q().UseProof(ctx, dbsqlc.UseProofParams{OrgID: i.OrgID, InstallationID: i.InstallationID, At: at.Truncate(time.Second)})
	if err != nil {
		return Access{}, fmt.Errorf("noting a proof: %w", err)
	}
	if fresh == 0 {
		return Access{}, ErrUsed
	}
	return r.access(i.OrgID, i.InstallationID, i.TokenGeneration), nil
}

func (r *Registry) access(org int64, id string, generation int64) Access {
	expires := r.now().Add(accessLife).Truncate(time.Second)
	c := claims{Org: org, Installation: id, Generation: generation, Expires: expires.Unix()}
	return Access{Token: c.sign(r.secretOf(org)), Expires: expires}
}

func clusterName(s string) bool {
	if s == "" || len(s) > store.ClusterWidth || !utf8.ValidString(s) {
		return false
	}
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return false
		}
	}
	return true
}
