// Package policy keeps what people decided that the parts obey: it checks it, has it signed, stores it, and gives the newest
// to the installations. Whether a rule compiles is for the processors to say.
package policy

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/console/internal/changes"
	"github.com/sidelight/sidelight/console/internal/signer"
	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	sealed "github.com/sidelight/sidelight/internal/policy"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
)

// errConflict says that a policy was made from one that is not the newest any more.
var errConflict = errors.New("another policy was published meanwhile")

type signing interface {
	PublicKey(ctx context.Context) (ed25519.PublicKey, error)
	Sign(ctx context.Context, manifest []byte) ([]byte, error)
}

// Keeper has the policies of all organisations.
type Keeper struct {
	store  *store.Store
	signer signing
	log    *slog.Logger
	now    func() time.Time

	mu sync.Mutex
	// newest was read last, by organisation: many installations ask for it at the same moment.
	newest map[int64]read
}

type read struct {
	sequence int64
	bundle   *policyv1.Bundle
}

// New makes a keeper.
func New(s *store.Store, signer signing, log *slog.Logger, now func() time.Time) *Keeper {
	return &Keeper{store: s, signer: signer, log: log, now: now, newest: map[int64]read{}}
}

// Newest gives the newest bundle of org if it is above have, else nil. Nobody may change it.
func (k *Keeper) Newest(ctx context.Context, org int64, have uint64) (*policyv1.Bundle, uint64, error) {
	head, err := k.store.Q().HeadOfPolicy(ctx, org)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the newest policy: %w", err)
	}
	if uint64(head) <= have {
		return nil, have, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if known := k.newest[org]; known.sequence == head {
		return known.bundle, uint64(head), nil
	}
	b, err := load(ctx, k.store.Q(), org, head)
	if err != nil {
		return nil, 0, err
	}
	k.newest[org] = read{head, b}
	return b, uint64(head), nil
}

// load reads a bundle as it was signed.
func load(ctx context.Context, q *dbsqlc.Queries, org, sequence int64) (*policyv1.Bundle, error) {
	row, err := q.GetPolicy(ctx, dbsqlc.GetPolicyParams{OrgID: org, Sequence: sequence})
	if err != nil {
		return nil, fmt.Errorf("reading a policy: %w", err)
	}
	m := &policyv1.Manifest{}
	if err := proto.Unmarshal(row.Manifest, m); err != nil {
		return nil, fmt.Errorf("decoding a manifest: %w", err)
	}
	b := &policyv1.Bundle{Manifest: row.Manifest, Signature: row.Signature}
	p := dbsqlc.GetPolicyBlobsParams{OrgID: org}
	for _, e := range m.GetEntries() {
		p.Digests = append(p.Digests, e.GetDigest())
	}
	if len(p.Digests) == 0 {
		return b, nil
	}
	blobs, err := q.GetPolicyBlobs(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("reading a policy's content: %w", err)
	}
	for _, blob := range blobs {
		b.Blobs = append(b.Blobs, &policyv1.Blob{Digest: blob.Digest, Content: blob.Content})
	}
	return b, nil
}

// draft is a policy that is to be published.
type draft struct {
	org     int64
	by      string
	comment string
	content sealed.Policy
	// from is the sequence that it was made from, if that matters.
	from *uint64
}

// publish signs and stores a draft under the next sequence, all or nothing.
func (k *Keeper) publish(ctx context.Context, d draft) (sequence uint64, err error) {
	err = k.store.Tx(ctx, func(q *dbsqlc.Queries) error {
		if err := q.LockPolicy(ctx, d.org); err != nil {
			return err
		}
		head, err := q.HeadOfPolicy(ctx, d.org)
		if err != nil {
			return err
		}
		if d.from != nil && *d.from != uint64(head) {
			return fmt.Errorf("%w: the newest is %d, this was made from %d: read the newest and change that", errConflict, head, *d.from)
		}
		var b *policyv1.Bundle
		if b, sequence, err = k.sign(ctx, d, uint64(head)+1); err != nil {
			return err
		}
		return k.insert(ctx, q, d.org, sequence, b)
	})
	if err != nil {
		return 0, fmt.Errorf("publishing a policy: %w", err)
	}
	return sequence, nil
}

// sign seals a draft. The signer may have signed sequences that never came to be stored: then it goes on above those.
func (k *Keeper) sign(ctx context.Context, d draft, sequence uint64) (*policyv1.Bundle, uint64, error) {
	b, err := k.seal(ctx, d, sequence)
	if used, ok := errors.AsType[*signer.SequenceError](err); ok && used.Last >= sequence {
		sequence = used.Last + 1
		b, err = k.seal(ctx, d, sequence)
	}
	if err != nil {
		return nil, 0, err
	}
	key, err := k.signer.PublicKey(ctx)
	if err != nil {
		return nil, 0, err
	}
	// What an installation would refuse is not stored.
	if _, err := sealed.Verify(b, key); err != nil {
		return nil, 0, err
	}
	return b, sequence, nil
}

func (k *Keeper) seal(ctx context.Context, d draft, sequence uint64) (*policyv1.Bundle, error) {
	if sequence > math.MaxInt64 {
		return nil, errors.New("the sequences are used up: begin with a new signer, to which every installation must register")
	}
	manifest, blobs, err := sealed.Seal(&policyv1.Manifest{
		Sequence: sequence, Organisation: strconv.FormatInt(d.org, 10), IssuedAt: timestamppb.New(k.now()), By: d.by, Comment: d.comment,
	}, d.content)
	if err != nil {
		return nil, err
	}
	signature, err := k.signer.Sign(ctx, manifest)
	if err != nil {
		return nil, err
	}
	return &policyv1.Bundle{Manifest: manifest, Signature: signature, Blobs: blobs}, nil
}

func (k *Keeper) insert(ctx context.Context, q *dbsqlc.Queries, org int64, sequence uint64, b *policyv1.Bundle) error {
	// Equal content has one row.
	for _, blob := range b.GetBlobs() {
		if err := q.PutPolicyBlob(ctx, dbsqlc.PutPolicyBlobParams{OrgID: org, Digest: blob.GetDigest(), Content: blob.GetContent()}); err != nil {
			return err
		}
	}
	err := q.InsertPolicy(ctx, dbsqlc.InsertPolicyParams{
		OrgID: org, Sequence: int64(sequence), Manifest: b.GetManifest(), Signature: b.GetSignature(), PublishedAt: k.now(),
	})
	if err != nil {
		return err
	}
	return changes.Announce(ctx, q, org, changes.Policy)
}
