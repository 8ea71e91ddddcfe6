package observe

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
)

// world is where aggregators come and go.
type world struct {
	mu     sync.Mutex
	found  []string
	lost   error
	up     map[string]chan struct{}
	opened map[string][]time.Time
	refuse error
}

func newWorld(addresses ...string) *world {
	w := &world{up: map[string]chan struct{}{}, opened: map[string][]time.Time{}}
	for _, a := range addresses {
		w.start(a)
	}
	return w
}

func (w *world) start(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found, w.up[address] = append(w.found, address), make(chan struct{})
}

func (w *world) stop(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.up[address])
	delete(w.up, address)
}

func (w *world) forget(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var left []string
	for _, a := range w.found {
		if a != address {
			left = append(left, a)
		}
	}
	w.found = left
}

func (w *world) find(context.Context) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.found...), w.lost
}

type life struct {
	ctx  context.Context
	down chan struct{}
}

func (l life) Close() {}

func (l life) Recv() (*aggregatorv1.TailResponse, error) {
	select {
	case <-l.ctx.Done():
		return nil, l.ctx.Err()
	case <-l.down:
		return nil, status.Error(codes.Unavailable, "it stops")
	}
}

func (w *world) open(ctx context.Context, address string) (receiver, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened[address] = append(w.opened[address], time.Now())
	if w.refuse != nil {
		return nil, w.refuse
	}
	if down, found := w.up[address]; found {
		return life{ctx, down}, nil
	}
	return nil, status.Error(codes.Unavailable, "connection refused")
}

// watch runs a fleet and gives the notes of it so far.
func watch(ctx context.Context, w *world) (notes func() []string, ended chan error) {
	events, ended := make(chan event, 1000), make(chan error, 1)
	f := &fleet{find: w.find, open: w.open, pauses: defaultPauses()}
	go func() { ended <- f.run(ctx, events) }()
	return func() []string {
		var list []string
		for {
			synctest.Wait()
			select {
			case e := <-events:
				list = append(list, e.note)
			default:
				return list
			}
		}
	}, ended
}

func TestAnAggregatorThatGoesAwayIsTriedUntilItIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := newWorld("a:1", "b:1")
		notes, ended := watch(ctx, w)
		require.ElementsMatch(t, []string{"watching aggregator a:1", "watching aggregator b:1"}, notes())
		<-time.After(time.Minute)
		w.stop("a:1")
		require.Equal(t, []string{"aggregator a:1 is away, trying again until it is back: connection refused"}, notes())
		<-time.After(5 * time.Minute)
		require.Empty(t, notes(), "once said is enough")
		attempts := len(w.opened["a:1"])
		require.Greater(t, attempts, 5*60/15)
		require.Less(t, attempts, 50, "the pauses grow")
		require.Len(t, w.opened["b:1"], 1)
		w.start("a:1")
		<-time.After(16 * time.Second)
		back := notes()
		require.Len(t, back, 1)
		require.Regexp(t, `^aggregator a:1 is back: what passed there for 5m\d+(\.\d+)?s was not shown$`, back[0])
		// A connection that is renewed: at once, and told.
		w.stop("a:1")
		w.start("a:1")
		require.Equal(t, []string{"aggregator a:1 is back: what passed there for 0s was not shown"}, notes())
		cancel()
		require.NoError(t, <-ended)
	})
}

func TestReplicasComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := newWorld("a:1")
		notes, ended := watch(ctx, w)
		notes()
		w.start("b:1")
		<-time.After(refresh)
		require.Equal(t, []string{"watching aggregator b:1"}, notes())
		// A name that cannot be resolved for a while changes nothing.
		w.mu.Lock()
		w.lost = errors.New("no such host")
		w.mu.Unlock()
		<-time.After(10 * refresh)
		require.Empty(t, notes())
		w.mu.Lock()
		w.lost = nil
		w.mu.Unlock()
		// It is no longer found, yet still sends: it is watched to its end.
		w.forget("a:1")
		<-time.After(2 * refresh)
		require.Empty(t, notes())
		w.stop("a:1")
		require.Equal(t, []string{"aggregator a:1 left"}, notes())
		<-time.After(time.Hour)
		require.Len(t, w.opened["a:1"], 1)
		// And it may come again.
		w.start("a:1")
		<-time.After(refresh)
		require.Equal(t, []string{"watching aggregator a:1"}, notes())
		// The next life of one, elsewhere, is found as soon as the last one broke.
		w.forget("b:1")
		w.start("c:1")
		w.stop("b:1")
		require.Contains(t, notes(), "watching aggregator c:1")
		cancel()
		require.NoError(t, <-ended)
	})
}

func TestANoIsTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, code := range []codes.Code{codes.PermissionDenied, codes.InvalidArgument, codes.Unimplemented, codes.Unauthenticated} {
			w := newWorld("a:1", "b:1")
			w.refuse = status.Error(code, "no")
			_, ended := watch(t.Context(), w)
			select {
			case err := <-ended:
				require.ErrorContains(t, err, "no")
			case <-time.After(time.Hour):
				t.Fatal("it asks again and again")
			}
		}
		w := newWorld()
		w.lost = errors.New("no such host")
		_, ended := watch(t.Context(), w)
		require.ErrorContains(t, <-ended, "no such host", "a name that is wrong from the start")
	})
}

func TestANameStandsForAllItsAddresses(t *testing.T) {
	t.Parallel()
	resolve := func(_ context.Context, host string) ([]netip.Addr, error) {
		switch host {
		case "many":
			return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::ffff:10.0.0.2")}, nil
		case "both":
			return []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.1")}, nil
		case "six":
			return []netip.Addr{netip.MustParseAddr("2001:db8::1")}, nil
		default:
			return nil, errors.New("no such host")
		}
	}
	all, err := behind([]string{"many:1", "both:2", "six:3", "[::1]:4", "10.9.9.9:5"}, resolve)(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"10.0.0.1:1", "10.0.0.2:1", "127.0.0.1:2", "[2001:db8::1]:3", "[::1]:4", "10.9.9.9:5"}, all)
	_, err = behind([]string{"typo:1"}, resolve)(t.Context())
	require.ErrorContains(t, err, "typo:1")
	_, err = behind([]string{"many"}, resolve)(t.Context())
	require.ErrorContains(t, err, "want host:port")
}
