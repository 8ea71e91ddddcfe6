package policy

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"

	"github.com/sidelight/sidelight/internal/policy"
	"github.com/sidelight/sidelight/internal/testkit"

	"github.com/sidelight/sidelight/cloudsync/internal/installation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// signer is a console's key.
type signer struct {
	pin     installation.Pin
	private ed25519.PrivateKey
}

func newSigner(t testing.TB, organisation string) signer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return signer{installation.Pin{Organisation: organisation, PolicyKey: public}, private}
}

func (s signer) bundle(t testing.TB, organisation string, sequence uint64, point string) *policyv1.Bundle {
	t.Helper()
	manifest, blobs, err := policy.Seal(&policyv1.Manifest{Sequence: sequence, Organisation: organisation},
		policy.Policy{Masks: &policyv1.Masks{Points: []string{point}}})
	require.NoError(t, err)
	return s.sign(manifest, blobs...)
}

func (s signer) sign(manifest []byte, blobs ...*policyv1.Blob) *policyv1.Bundle {
	return &policyv1.Bundle{Manifest: manifest, Blobs: blobs, Signature: ed25519.Sign(s.private, policy.Signed(manifest))}
}

func open(t *testing.T, dir string, pin installation.Pin) *Store {
	t.Helper()
	s := NewStore(dir, testkit.Quiet())
	require.NoError(t, s.Open(pin))
	return s
}

func TestOnlyAGoodNewerOneIsTaken(t *testing.T) {
	t.Parallel()
	ours, other := newSigner(t, "1"), newSigner(t, "1")
	manifest := func(m *policyv1.Manifest) []byte {
		data, err := proto.Marshal(m)
		require.NoError(t, err)
		return data
	}
	swapped := ours.bundle(t, "1", 6, "query.a")
	swapped.Blobs = ours.bundle(t, "1", 6, "query.b").GetBlobs()
	digest := [32]byte{}
	for name, tc := range map[string]struct {
		bundle *policyv1.Bundle
		want   string
	}{
		"another key":          {other.bundle(t, "1", 6, "query.a"), "policy 6: the policy's signature is not of the key"},
		"another organisation": {ours.bundle(t, "2", 6, "query.a"), "policy 6: it is another organisation's"},
		"lower sequence":       {ours.bundle(t, "1", 4, "query.a"), "policy 4: its sequence is not above 5"},
		"equal sequence":       {ours.bundle(t, "1", 5, "query.other"), "policy 5: its sequence is not above 5"},
		"other content":        {swapped, "policy 6: the content"},
		"no content":           {ours.sign(manifest(&policyv1.Manifest{Sequence: 6, Organisation: "1", Entries: []*policyv1.Entry{{Kind: policyv1.Kind_KIND_MASKS, Digest: digest[:]}}})), "policy 6"},
		"of a newer release":   {ours.sign(manifest(&policyv1.Manifest{Sequence: 6, Organisation: "1", Entries: []*policyv1.Entry{{Kind: 99, Digest: sumOf("x")}}}), &policyv1.Blob{Content: []byte("x")}), "upgrade"},
		"nothing":              {&policyv1.Bundle{}, "not of the key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir, ours.pin)
			good := ours.bundle(t, "1", 5, "query.good")
			require.NoError(t, s.Offer(good))
			require.NoError(t, s.Offer(tc.bundle))
			sequence, refused := s.State()
			require.EqualValues(t, 5, sequence)
			require.Contains(t, refused, tc.want)
			require.EqualValues(t, 1, s.Refusals.Load())
			bundle, _, _ := s.newest()
			require.True(t, proto.Equal(good, bundle))
			require.NoError(t, s.Offer(good), "one that is in force may come again")
			require.EqualValues(t, 1, s.Refusals.Load())
			// A newer one that is good ends it.
			require.NoError(t, s.Offer(ours.bundle(t, "1", 7, "query.good")))
			sequence, refused = s.State()
			require.EqualValues(t, 7, sequence)
			require.Empty(t, refused)
		})
	}
	unregistered := open(t, t.TempDir(), installation.Pin{})
	require.NoError(t, unregistered.Offer(ours.bundle(t, "", 5, "query.a")))
	sequence, refused := unregistered.State()
	require.Zero(t, sequence)
	require.Contains(t, refused, "register")
}

func TestARestartKeepsIt(t *testing.T) {
	t.Parallel()
	ours, other, dir := newSigner(t, "1"), newSigner(t, "1"), t.TempDir()
	s := open(t, dir, ours.pin)
	require.NoError(t, s.Offer(ours.bundle(t, "1", 5, "query.good")))
	info, err := os.Stat(filepath.Join(dir, fileName))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	s = open(t, dir, ours.pin)
	sequence, refused := s.State()
	require.EqualValues(t, 5, sequence)
	require.Empty(t, refused)
	require.NoError(t, s.Offer(ours.bundle(t, "1", 4, "query.old")))
	_, refused = s.State()
	require.Contains(t, refused, "not above 5")

	// One that is not good any more is not served, and no obstacle to one that is.
	for name, spoil := range map[string]func(path string) installation.Pin{
		"another key": func(string) installation.Pin { return other.pin },
		"another organisation": func(string) installation.Pin {
			return installation.Pin{Organisation: "2", PolicyKey: ours.pin.PolicyKey}
		},
		"damaged": func(path string) installation.Pin {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			data[len(data)/2] ^= 1
			require.NoError(t, os.WriteFile(path, data, 0o600))
			return ours.pin
		},
	} {
		dir := t.TempDir()
		require.NoError(t, open(t, dir, ours.pin).Offer(ours.bundle(t, "1", 5, "query.good")))
		s := open(t, dir, spoil(filepath.Join(dir, fileName)))
		sequence, refused := s.State()
		require.Zero(t, sequence, name)
		require.Contains(t, refused, "disk", name)
		bundle, _, _ := s.newest()
		require.Nil(t, bundle, name)
	}
}

func TestAnotherConsoleDropsIt(t *testing.T) {
	t.Parallel()
	ours, other, dir := newSigner(t, "1"), newSigner(t, "1"), t.TempDir()
	s := open(t, dir, ours.pin)
	require.NoError(t, s.Offer(ours.bundle(t, "1", 5, "query.good")))
	s.Pin(ours.pin)
	sequence, _ := s.State()
	require.EqualValues(t, 5, sequence, "the same console")
	_, _, changed := s.newest()
	s.Pin(other.pin)
	select {
	case <-changed:
	default:
		require.Fail(t, "the parts are not told")
	}
	sequence, _ = s.State()
	require.Zero(t, sequence)
	require.NoFileExists(t, filepath.Join(dir, fileName))
	require.NoError(t, s.Offer(other.bundle(t, "1", 2, "query.new")))
	sequence, _ = s.State()
	require.EqualValues(t, 2, sequence)
}

func TestWhatCannotBeKeptIsNotInForce(t *testing.T) {
	t.Parallel()
	ours, dir := newSigner(t, "1"), t.TempDir()
	s := open(t, dir, ours.pin)
	require.NoError(t, os.Mkdir(filepath.Join(dir, fileName), 0o700))
	require.Error(t, s.Offer(ours.bundle(t, "1", 5, "query.good")))
	sequence, refused := s.State()
	require.Zero(t, sequence)
	require.Contains(t, refused, "data_dir")
	require.NoError(t, os.Remove(filepath.Join(dir, fileName)))
	require.NoError(t, s.Offer(ours.bundle(t, "1", 5, "query.good")))
}

// far is a console whose streams end as the test says.
type far struct {
	streams []*stream
	have    []uint64
	at      []time.Duration
	zero    time.Time
}

type stream struct {
	grpc.ClientStream
	bundles []*policyv1.Bundle
	// lasts is how long it stands, and end how it ends.
	lasts time.Duration
	end   error
	ctx   context.Context
}

func (f *far) WatchPolicy(ctx context.Context, in *consolev1.WatchPolicyRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[consolev1.WatchPolicyResponse], error) {
	f.have, f.at = append(f.have, in.GetHaveSequence()), append(f.at, time.Since(f.zero).Truncate(time.Second))
	if len(f.streams) == 0 {
		return nil, status.Error(codes.Unavailable, "away")
	}
	s := f.streams[0]
	f.streams = f.streams[1:]
	s.ctx = ctx
	return s, nil
}

func (s *stream) Recv() (*consolev1.WatchPolicyResponse, error) {
	if len(s.bundles) > 0 {
		b := s.bundles[0]
		s.bundles = s.bundles[1:]
		return &consolev1.WatchPolicyResponse{Bundle: b}, nil
	}
	select {
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	case <-time.After(s.lasts):
		return nil, s.end
	}
}

// once calls, and calls again after a refusal, as the account does.
type once struct{ renewed int }

func (o *once) Call(ctx context.Context, call func(context.Context) error) error {
	err := call(ctx)
	if installation.Refused(err) {
		o.renewed++
		err = call(ctx)
	}
	return err
}

func TestTheLane(t *testing.T) {
	t.Parallel()
	ours := newSigner(t, "1")
	synctest.Test(t, func(t *testing.T) {
		refused := status.Error(codes.Unauthenticated, "the token is over")
		f := &far{zero: time.Now(), streams: []*stream{
			{bundles: []*policyv1.Bundle{ours.bundle(t, "1", 3, "a"), ours.bundle(t, "1", 4, "b")}, lasts: 10 * time.Minute, end: refused},
			// A token that ended is replaced, and the stream goes on.
			{lasts: 10 * time.Minute, end: refused},
			{bundles: []*policyv1.Bundle{ours.bundle(t, "1", 2, "old")}, lasts: time.Hour, end: io.EOF},
			// Cut off: twice at once, then after a minute.
			{end: refused}, {end: refused}, {end: refused}, {end: refused},
			{bundles: []*policyv1.Bundle{ours.bundle(t, "1", 9, "c")}, lasts: time.Hour, end: errors.New("cut")},
		}}
		account := &once{}
		s := open(t, t.TempDir(), ours.pin)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- NewLane(LaneDeps{Console: f, Account: account, Store: s, Log: testkit.Quiet()}).Run(ctx)
		}()
		<-time.After(2*time.Hour + 30*time.Minute)
		cancel()
		require.NoError(t, <-done)
		sequence, why := s.State()
		require.EqualValues(t, 9, sequence)
		require.Empty(t, why)
		require.Equal(t, []uint64{0, 4, 4, 4, 4, 4, 4, 4}, f.have[:8], "each asks for what is newer than the one in force")
		begin := 80 * time.Minute
		for i, at := range []time.Duration{0, 10 * time.Minute, 20 * time.Minute, begin, begin, begin + time.Minute, begin + time.Minute, begin + 2*time.Minute} {
			require.InDelta(t, at.Seconds(), f.at[i].Seconds(), 2, "stream %d", i)
		}
		pauses := f.at[len(f.at)-1] - f.at[len(f.at)-2]
		require.LessOrEqual(t, pauses, maxPause, "one that is only away is asked often")
	})
}

func sumOf(text string) []byte { sum := sha256.Sum256([]byte(text)); return sum[:] }
