package policy_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"

	"github.com/sidelight/sidelight/internal/policy"
	"github.com/sidelight/sidelight/internal/testkit"
)

var some = policy.Policy{
	Masks:   &policyv1.Masks{Points: []string{"query.pin"}},
	Trusted: &policyv1.TrustedCidrs{Cidrs: []string{"10.0.0.0/8"}},
}

func sealed(t testing.TB, sequence uint64, content policy.Policy, key ed25519.PrivateKey) *policyv1.Bundle {
	t.Helper()
	manifest, blobs, err := policy.Seal(&policyv1.Manifest{Sequence: sequence, Organisation: "org"}, content)
	require.NoError(t, err)
	return &policyv1.Bundle{Manifest: manifest, Blobs: blobs, Signature: ed25519.Sign(key, policy.Signed(manifest))}
}

func keys(t testing.TB) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return public, private
}

func TestSealed(t *testing.T) {
	t.Parallel()
	public, private := keys(t)
	b := sealed(t, 3, some, private)
	m, err := policy.Verify(b, public)
	require.NoError(t, err)
	require.Equal(t, uint64(3), m.GetSequence())
	p, err := policy.Content(b)
	require.NoError(t, err)
	require.Equal(t, []string{"query.pin"}, p.Masks.GetPoints())
	require.Equal(t, []string{"10.0.0.0/8"}, p.Trusted.GetCidrs())
	require.Nil(t, p.Rules, "what nobody decided stays the default")
	require.Nil(t, p.Budgets)
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	public, private := keys(t)
	_, stranger := keys(t)
	manifest := func(m *policyv1.Manifest) []byte { data, _ := proto.Marshal(m); return data }
	resigned := func(m *policyv1.Manifest, blobs ...*policyv1.Blob) *policyv1.Bundle {
		data := manifest(m)
		return &policyv1.Bundle{Manifest: data, Blobs: blobs, Signature: ed25519.Sign(private, policy.Signed(data))}
	}
	for name, tc := range map[string]struct {
		bundle *policyv1.Bundle
		want   string
	}{
		"another key":      {sealed(t, 3, some, stranger), "not of the key"},
		"changed manifest": {&policyv1.Bundle{Manifest: sealed(t, 4, some, private).GetManifest(), Signature: sealed(t, 3, some, private).GetSignature()}, "not of the key"},
		"signed without context": {func() *policyv1.Bundle {
			b := sealed(t, 3, some, private)
			b.Signature = ed25519.Sign(private, b.GetManifest())
			return b
		}(), "not of the key"},
		"other content": {func() *policyv1.Bundle {
			b := sealed(t, 3, some, private)
			b.Blobs[0].Content = []byte("another")
			return b
		}(), "not what the manifest names"},
		"no sequence": {resigned(&policyv1.Manifest{}), "no sequence"},
		"a kind twice": {func() *policyv1.Bundle {
			m := &policyv1.Manifest{}
			b := sealed(t, 3, some, private)
			require.NoError(t, proto.Unmarshal(b.GetManifest(), m))
			m.Entries = append(m.Entries, m.GetEntries()[0])
			return resigned(m, b.GetBlobs()...)
		}(), "twice"},
		"nothing": {&policyv1.Bundle{}, "not of the key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := policy.Verify(tc.bundle, public)
			require.ErrorContains(t, err, tc.want)
		})
	}
	_, err := policy.Verify(sealed(t, 3, some, private), nil)
	require.ErrorContains(t, err, "register")
	m := &policyv1.Manifest{}
	b := sealed(t, 3, some, private)
	require.NoError(t, proto.Unmarshal(b.GetManifest(), m))
	m.Entries[0].Kind = 99
	_, err = policy.Content(resigned(m, b.GetBlobs()...))
	require.ErrorContains(t, err, "upgrade")
}

// lane is a cloudsync whose streams give one bundle each.
type lane struct {
	bundles []*policyv1.Bundle
	have    []uint64
}

type stream struct {
	grpc.ClientStream
	ctx    context.Context
	bundle *policyv1.Bundle
	told   bool
}

func (l *lane) Watch(ctx context.Context, in *cloudsyncv1.WatchRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[cloudsyncv1.WatchResponse], error) {
	l.have = append(l.have, in.GetHaveSequence())
	if len(l.bundles) == 0 {
		return &stream{ctx: ctx, told: true}, nil
	}
	b := l.bundles[0]
	l.bundles = l.bundles[1:]
	return &stream{ctx: ctx, bundle: b}, nil
}

func (s *stream) Recv() (*cloudsyncv1.WatchResponse, error) {
	if !s.told {
		s.told = true
		return &cloudsyncv1.WatchResponse{Bundle: s.bundle}, nil
	}
	if s.bundle != nil {
		return nil, errors.New("cut")
	}
	<-s.ctx.Done()
	return nil, s.ctx.Err()
}

func TestWatcherKeepsTheOldOneWhenANewOneIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, private := keys(t)
		l := &lane{bundles: []*policyv1.Bundle{
			sealed(t, 1, some, private), sealed(t, 2, some, private), sealed(t, 1, some, private), sealed(t, 2, some, private),
		}}
		var applied []uint64
		w := policy.NewWatcher(policy.WatcherDeps{Client: l, Part: "processor", Log: testkit.Quiet(), Apply: func(p policy.Policy) error {
			applied = append(applied, p.Sequence)
			if p.Sequence == 2 {
				return errors.New("rule 9000001 does not compile")
			}
			return nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		<-time.After(time.Minute) // the bubble's clock
		sequence, refused := w.State()
		require.Equal(t, uint64(1), sequence)
		require.Contains(t, refused, "lower")
		cancel()
		require.NoError(t, <-done)
		require.Equal(t, []uint64{1, 2}, applied, "the lower one is not tried, the refused one not twice")
		require.Equal(t, []uint64{0, 1, 2, 2, 2}, l.have)
	})
}

func TestAnotherConsoleBeginsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, private := keys(t)
		manifest, blobs, err := policy.Seal(&policyv1.Manifest{Sequence: 1, Organisation: "another"}, some)
		require.NoError(t, err)
		l := &lane{bundles: []*policyv1.Bundle{sealed(t, 7, some, private), {Manifest: manifest, Blobs: blobs}}}
		w := policy.NewWatcher(policy.WatcherDeps{Client: l, Part: "agent", Log: testkit.Quiet(), Apply: func(policy.Policy) error { return nil }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		<-time.After(time.Minute) // the bubble's clock
		sequence, refused := w.State()
		require.Equal(t, uint64(1), sequence)
		require.Empty(t, refused)
		cancel()
		require.NoError(t, <-done)
	})
}

func FuzzContent(f *testing.F) {
	_, private := keys(f)
	b := sealed(f, 3, some, private)
	f.Add(b.GetManifest(), b.GetBlobs()[0].GetContent())
	f.Fuzz(func(_ *testing.T, manifest, content []byte) {
		// It may refuse, and must not fall.
		_, _ = policy.Content(&policyv1.Bundle{Manifest: manifest, Blobs: []*policyv1.Blob{{Content: content}}})
	})
}
