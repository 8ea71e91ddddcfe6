package report

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/testkit"
)

// peer takes calls, or fails as often as told.
type peer struct {
	grpc.ClientConnInterface
	mu    sync.Mutex
	fails int
	calls int
	facts map[string][]*detectionv1.Fact
	hits  []*detectionv1.Hit
}

func (p *peer) Invoke(ctx context.Context, _ string, in, _ any, _ ...grpc.CallOption) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	if p.fails > 0 {
		p.fails--
		return errors.New("away")
	}
	switch m := in.(type) {
	case *processorv1.TrackRequest:
		sent, _ := metadata.FromOutgoingContext(ctx)
		owner := sent.Get(OwnerHeader)[0]
		p.facts[owner] = append(p.facts[owner], m.GetFacts()...)
	case *cloudsyncv1.CommitRequest:
		p.hits = append(p.hits, m.GetHits()...)
	}
	return nil
}

func (p *peer) state() (calls, facts, hits int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range p.facts {
		facts += len(list)
	}
	return p.calls, facts, len(p.hits)
}

func newPeer(fails int) *peer { return &peer{fails: fails, facts: map[string][]*detectionv1.Fact{}} }

func ofClient(n byte) *detectionv1.Fact { return &detectionv1.Fact{Client: []byte{n, 1, 2, 3}} }

// run runs f until the returned function is called.
func run(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-done)
	}
}

func TestEveryClientHasOneOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, lost := newPeer(2), losses.NewLosses(nil, "processor")
		f := NewFacts(nil, p, 1<<16, 1<<20, lost, testkit.Quiet())
		stop := run(t, f.Run)
		for i := range 600 {
			f.Push(ofClient(byte(i)))
		}
		<-time.After(10 * time.Second)
		calls, facts, _ := p.state()
		require.Equal(t, 600, facts, "what failed is sent again")
		require.LessOrEqual(t, calls, 2*shares+2, "facts of several clients share a call")
		owner := map[string]string{}
		for name, list := range p.facts {
			for _, v := range list {
				client := string(v.GetClient())
				require.Contains(t, []string{"", name}, owner[client])
				owner[client] = name
			}
		}
		stop()
		require.Empty(t, lost.Snapshot())
	})
}

func TestFactsWithoutAnOwnerAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, lost := newPeer(1<<30), losses.NewLosses(nil, "processor")
		size := int64(proto.Size(ofClient(1)))
		f := NewFacts(nil, p, 100, 5*size, lost, testkit.Quiet())
		for range 8 {
			f.Push(ofClient(1))
		}
		require.Equal(t, []losses.Loss{{Place: "facts", Reason: "full", Count: 3}}, lost.Snapshot())
		stop := run(t, f.Run)
		<-time.After(time.Minute)
		require.Contains(t, lost.Snapshot(), losses.Loss{Place: "facts", Reason: "not_taken", Count: 5})
		calls, _, _ := p.state()
		require.Equal(t, 4, calls)
		stop()
	})
}

type counted struct{ facts int }

func (c *counted) Track(f []*detectionv1.Fact) { c.facts += len(f) }

func TestAloneNothingIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		local, lost := &counted{}, losses.NewLosses(nil, "processor")
		f := NewFacts(local, nil, 10, 1<<20, lost, testkit.Quiet())
		stop := run(t, f.Run)
		f.Push(ofClient(1))
		f.Push(ofClient(2))
		<-time.After(time.Second)
		stop()
		require.Equal(t, 2, local.facts)
		f.Push(ofClient(3))
		run(t, f.Run)()
		require.Equal(t, 3, local.facts+int(sum(lost)), "what is left at the end is counted")
	})
}

func sum(l *losses.Losses) (n int64) {
	for _, v := range l.Snapshot() {
		n += v.Count
	}
	return n
}

func TestHitsOfBehaviourAreKeptAtLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, lost, c := newPeer(3), losses.NewLosses(nil, "processor"), NewCounters(nil)
		k := NewKeeper(p, time.Second, c, lost, testkit.Quiet())
		stop := run(t, k.Run)
		k.Push(&detectionv1.Hit{Type: "dirbust"})
		<-time.After(time.Minute)
		_, _, hits := p.state()
		require.Equal(t, 1, hits)
		list := c.Snapshot()
		require.Equal(t, int64(1), list[len(list)-1].GetValue())

		p.mu.Lock()
		p.fails = 1 << 30
		p.mu.Unlock()
		k.Push(&detectionv1.Hit{Type: "dirbust"})
		<-time.After(time.Hour)
		require.Equal(t, []losses.Loss{{Place: "behaviour_hits", Reason: "not_kept", Count: 1}}, lost.Snapshot())
		k.Push(&detectionv1.Hit{Type: "dirbust"})
		<-time.After(time.Second)
		stop()
		require.Contains(t, lost.Snapshot(), losses.Loss{Place: "behaviour_hits", Reason: "stopped", Count: 1})
	})
}

func TestTheLastHitIsTriedOnceMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(1)
		k := NewKeeper(p, time.Second, NewCounters(nil), losses.NewLosses(nil, "processor"), testkit.Quiet())
		stop := run(t, k.Run)
		k.Push(&detectionv1.Hit{Type: "dirbust"})
		synctest.Wait()
		stop()
		_, _, hits := p.state()
		require.Equal(t, 1, hits)

		k.Push(&detectionv1.Hit{Type: "dirbust"})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, k.Run(ctx))
		_, _, hits = p.state()
		require.Equal(t, 2, hits, "one that came in the last moment")
	})
}
