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
		policy, err := q.GetPolicyKey(ctx, t.OrgID)
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
	now := r.now()
	old, err := q.GetLiveInstallation(ctx, dbsqlc.GetLiveInstallationParams{OrgID: t.OrgID, Cluster: cluster})
	switch {
	case store.Missing(err):
	case err != nil:
		return "", err
	case old.TokenValid && old.TokenID == t.TokenID && bytes.Equal(old.PublicKey, key):
		return old.InstallationID, nil
	case old.TokenValid && old.TokenID != t.TokenID:
		return "", ErrTaken
	default:
		_, err := q.RevokeInstallation(ctx, dbsqlc.RevokeInstallationParams{RevokedAt: &now, OrgID: t.OrgID, InstallationID: old.InstallationID})
		if err != nil {
			return "", err
		}
		r.log.WarnContext(ctx, "a cluster registered again with a new key, its old installation is revoked",
			"cluster", cluster, "installation", old.InstallationID, logkey.Reason, "registered again")
	}
	id := hex.EncodeToString(random(16))
	return id, q.InsertInstallation(ctx, dbsqlc.InsertInstallationParams{
		OrgID: t.OrgID, InstallationID: id, Cluster: cluster, Version: store.Text(version, store.WordWidth), PublicKey: key,
		TokenID: t.TokenID, TokenGeneration: t.Generation, RegisteredAt: now,
	})
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
