package changes

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a database that hears what the test says, and breaks when the test says so.
type source struct {
	say  chan string
	fail chan error
}

func (s source) Listen(ctx context.Context, _ string, ready func(), got func(string)) error {
	ready()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case p := <-s.say:
			got(p)
		case err := <-s.fail:
			return err
		}
	}
}

func start(t *testing.T) (*Hub, source, func()) {
	t.Helper()
	src := source{say: make(chan string), fail: make(chan error)}
	h := New(src, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	synctest.Wait()
	return h, src, func() {
		cancel()
		require.NoError(t, <-ended)
		<-h.Done()
	}
}

func TestHubReachesTheRightOrganisation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, src, stop := start(t)
		defer stop()
		one, err := h.Subscribe(1, Pages)
		require.NoError(t, err)
		two, err := h.Subscribe(2, Pages)
		require.NoError(t, err)

		src.say <- "1 1"
		src.say <- "1 2"
		src.say <- "nonsense"
		synctest.Wait()
		<-one.Ready()
		require.Equal(t, Attacks|Endpoints, one.Take())
		require.Zero(t, one.Take())
		require.Zero(t, two.Take())

		one.Close()
		src.say <- "1 1"
		synctest.Wait()
		require.Zero(t, one.Take())
	})
}

func TestHubComesBackAndLetsEverybodyLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, src, stop := start(t)
		defer stop()
		sub, err := h.Subscribe(7, Pages)
		require.NoError(t, err)
		src.fail <- errors.New("gone")
		<-time.After(time.Second)
		synctest.Wait()
		require.Equal(t, Attacks|Endpoints, sub.Take())
	})
}

func TestSubscriptionsAreBounded(t *testing.T) {
	t.Parallel()
	h := New(source{}, slog.New(slog.DiscardHandler))
	for range Pages.most {
		_, err := h.Subscribe(1, Pages)
		require.NoError(t, err)
	}
	_, err := h.Subscribe(1, Pages)
	require.ErrorIs(t, err, ErrFull)
	sub, err := h.Subscribe(1, Installations)
	require.NoError(t, err, "pages do not keep installations out")
	sub.Close()
	sub.Close()
	require.Zero(t, h.open[Installations])
}

func TestEachHearsWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, src, stop := start(t)
		defer stop()
		one, err := h.Subscribe(1, Pages)
		require.NoError(t, err)
		two, err := h.Subscribe(1, Installations)
		require.NoError(t, err)
		src.say <- "1 15"
		synctest.Wait()
		require.Equal(t, Attacks|Endpoints, one.Take())
		require.Equal(t, Policy|Credentials, two.Take())
		src.say <- "1 8"
		synctest.Wait()
		require.Zero(t, one.Take())
		require.Equal(t, Credentials, two.Take())
	})
}

func FuzzPayload(f *testing.F) {
	f.Add("1 3")
	f.Add("-1 1")
	f.Add("9223372036854775808 1")
	f.Fuzz(func(t *testing.T, s string) {
		org, kinds, ok := parse(s)
		if ok {
			require.Positive(t, org)
			require.Zero(t, kinds&^all)
		}
	})
}
