package report

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	apidiscoveryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/apidiscovery/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/testkit"
)

// link is a connection to an apidiscovery that counts batches, and loses the first `breaks` of them without an answer.
type link struct {
	grpc.ClientConnInterface
	mu     sync.Mutex
	breaks int
	counts
}

type counts struct {
	opened  int
	batches [][]*inventoryv1.Observation
}

func (l *link) state() counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

func (l *link) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened++
	return &wire{link: l, ctx: ctx, answers: make(chan uint64, 8)}, nil
}

type wire struct {
	grpc.ClientStream
	link    *link
	ctx     context.Context
	answers chan uint64
}

func (w *wire) SendMsg(m any) error {
	r, ok := m.(*apidiscoveryv1.ObserveRequest)
	if !ok {
		return errors.New("not a batch")
	}
	w.link.mu.Lock()
	defer w.link.mu.Unlock()
	w.link.batches = append(w.link.batches, r.GetObservations())
	if w.link.breaks > 0 {
		w.link.breaks--
		close(w.answers)
		return nil
	}
	w.answers <- r.GetSequence()
	return nil
}

func (w *wire) RecvMsg(m any) error {
	select {
	case <-w.ctx.Done():
		return w.ctx.Err()
	case n, ok := <-w.answers:
		if !ok {
			return io.ErrUnexpectedEOF
		}
		r, _ := m.(*apidiscoveryv1.ObserveResponse)
		r.Message = &apidiscoveryv1.ObserveResponse_Acknowledged{Acknowledged: n}
		return nil
	}
}

func TestABrokenStreamSendsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &link{breaks: 2}
		lost, counters := losses.NewLosses(nil, "processor"), NewCounters(nil)
		o := NewObserver(l, 100, 1<<20, counters, lost, testkit.Quiet())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- o.Run(ctx) }()
		<-time.After(time.Minute) // The bubble's clock: with nothing to say there is no connection.
		require.Zero(t, l.state().opened)
		o.Push(&inventoryv1.Observation{Host: "a"})
		o.Push(&inventoryv1.Observation{Host: "b"})
		<-time.After(time.Minute)
		batches := l.state().batches
		require.Len(t, batches, 3, "the batch is sent until it is counted")
		for _, b := range batches {
			require.Len(t, b, 2)
		}
		require.Equal(t, int64(2), counters.Observations.Load())
		require.Empty(t, lost.Snapshot())

		l.mu.Lock()
		l.breaks = 1 << 30
		l.mu.Unlock()
		o.Push(&inventoryv1.Observation{Host: "c"})
		<-time.After(time.Second)
		o.Push(&inventoryv1.Observation{Host: "d"})
		cancel()
		require.NoError(t, <-done)
		require.Equal(t, []losses.Loss{{Place: "observations", Reason: "stopped", Count: 2}}, lost.Snapshot())
	})
}

func TestAFullQueueIsCounted(t *testing.T) {
	t.Parallel()
	lost := losses.NewLosses(nil, "processor")
	o := NewObserver(&link{}, 2, 1<<20, NewCounters(nil), lost, testkit.Quiet())
	for range 5 {
		o.Push(&inventoryv1.Observation{})
	}
	require.Equal(t, []losses.Loss{{Place: "observations", Reason: "full", Count: 3}}, lost.Snapshot())
}
