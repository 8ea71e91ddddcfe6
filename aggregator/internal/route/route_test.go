package route

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// processor answers as the test says and remembers what it judged.
type processor struct {
	answer func(ctx context.Context, ids []int) error

	mu     sync.Mutex
	judged map[int]int
	calls  []int
	sizes  []int
}

func (p *processor) Inspect(ctx context.Context, in *processorv1.InspectRequest, _ ...grpc.CallOption) (*processorv1.InspectResponse, error) {
	out := &processorv1.InspectResponse{}
	var ids []int
	size := 0
	for _, x := range in.GetExchanges() {
		ids = append(ids, number(x))
		size += len(x.GetRequest().GetTarget())
		out.Summaries = append(out.Summaries, &processorv1.Summary{ExchangeId: x.GetId()})
	}
	var err error
	if p.answer != nil {
		err = p.answer(ctx, ids)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls, p.sizes = append(p.calls, len(ids)), append(p.sizes, size)
	var some notKept
	if errors.As(err, &some) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	for n, id := range ids {
		if some != nil && some(id) {
			out.NotKept = append(out.NotKept, uint32(n))
			continue
		}
		p.judged[id]++
	}
	return out, nil
}

// notKept is an answer that names the exchanges whose hits could not be kept.
type notKept func(id int) bool

func (notKept) Error() string { return "not kept" }

func exchange(n int) *trafficv1.Exchange {
	return &trafficv1.Exchange{Id: binary.BigEndian.AppendUint64(make([]byte, 8), uint64(n))}
}

func number(x *trafficv1.Exchange) int { return int(binary.BigEndian.Uint64(x.GetId()[8:])) }

// rig runs a router in the bubble of a synctest.
type rig struct {
	router    *Router
	processor *processor
	losses    *losses.Losses
	tail      []*processorv1.Summary

	mu      sync.Mutex
	done    map[int]int
	refused []int
	// early are exchanges that were answered before they were judged.
	early []int
}

func start(t *testing.T, answer func(context.Context, []int) error) (*rig, func()) {
	t.Helper()
	r := &rig{processor: &processor{answer: answer, judged: map[int]int{}}, losses: losses.NewLosses(nil, "aggregator"), done: map[int]int{}}
	r.router = New(Deps{Processor: r.processor, Log: testkit.Quiet(), Losses: r.losses, Judged: func(s []*processorv1.Summary) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tail = append(r.tail, s...)
	}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.router.Run(ctx) }()
	return r, func() { cancel(); <-ended }
}

func (r *rig) submit(from, to int, size int64) { r.submitAs("n1", from, to, size) }

func (r *rig) submitAs(source string, from, to int, size int64) {
	var items []Item
	for n := from; n < to; n++ {
		items = append(items, Item{Exchange: exchange(n), Size: size, Source: source, Done: func(refused bool) {
			r.processor.mu.Lock()
			judged := r.processor.judged[n] > 0
			r.processor.mu.Unlock()
			r.mu.Lock()
			defer r.mu.Unlock()
			r.done[n]++
			if refused {
				r.refused = append(r.refused, n)
			} else if !judged {
				r.early = append(r.early, n)
			}
		}})
	}
	r.router.Submit(items)
}

func (r *rig) requireAll(t *testing.T, n int, refused ...int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(t, r.early, "answered before they were judged")
	require.Len(t, r.done, n)
	for id, times := range r.done {
		require.Equal(t, 1, times, "exchange %d", id)
	}
	slices.Sort(r.refused)
	require.Equal(t, refused, r.refused)
}

func TestNothingIsLostWhileTheProcessorIsAway(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.Unavailable, codes.PermissionDenied, codes.Canceled, codes.DeadlineExceeded, codes.ResourceExhausted} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				r, stop := start(t, func(context.Context, []int) error {
					if time.Since(begin) < time.Minute {
						return status.Error(code, "away")
					}
					return nil
				})
				defer stop()
				for n := range 10 {
					r.submit(n*100, n*100+100, 1000)
					time.Sleep(time.Second) //nolint:forbidigo // synctest's clock
				}
				r.mu.Lock()
				require.Empty(t, r.done)
				r.mu.Unlock()
				require.Less(t, r.router.Failures.Load(), int64(500), "it knocks without a pause")
				time.Sleep(2 * time.Minute) //nolint:forbidigo // synctest's clock
				r.requireAll(t, 1000)
				require.Len(t, r.tail, 1000)
				require.Zero(t, r.router.Waiting())
				require.Empty(t, r.losses.Snapshot())
			})
		})
	}
}

func TestAnExchangeThatBreaksTheProcessorHoldsUpNothingElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, stop := start(t, func(_ context.Context, ids []int) error {
			if slices.Contains(ids, 77) || slices.Contains(ids, 400) {
				return status.Error(codes.Internal, "a call panicked")
			}
			return nil
		})
		defer stop()
		r.submit(0, 500, 100)
		time.Sleep(2 * time.Second) //nolint:forbidigo // synctest's clock
		r.mu.Lock()
		require.GreaterOrEqual(t, len(r.done), 498)
		r.mu.Unlock()
		for n := range 60 {
			r.submit(500+n, 501+n, 100)
			time.Sleep(time.Second) //nolint:forbidigo // synctest's clock
		}
		r.requireAll(t, 560, 77, 400)
		require.Equal(t, []losses.Loss{{Place: "route", Reason: "processor_refuses", Count: 2}}, r.losses.Snapshot())
	})
}

func TestNothingIsRefusedWhileNothingIsJudged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		r, stop := start(t, func(context.Context, []int) error {
			if time.Since(begin) < time.Hour {
				return status.Error(codes.Internal, "disk full")
			}
			return nil
		})
		defer stop()
		r.submit(0, 300, 100)
		time.Sleep(time.Hour) //nolint:forbidigo // synctest's clock
		require.Less(t, r.router.Failures.Load(), int64(20_000), "it knocks without a pause")
		time.Sleep(time.Minute) //nolint:forbidigo // synctest's clock
		r.requireAll(t, 300)
	})
}

func TestCallsAreBoundedAndFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		r, stop := start(t, func(context.Context, []int) error { <-open; return nil })
		defer stop()
		for n := range workers {
			// The first calls take what is there; the rest waits for a free one, and gathers.
			r.submit(n, n+1, 10)
			synctest.Wait()
		}
		r.submit(workers, 4000, 1000)
		r.submit(4000, 4001, 5<<20)
		r.submit(4001, 9000, 10)
		close(open)
		time.Sleep(time.Second) //nolint:forbidigo // synctest's clock
		r.requireAll(t, 9000)
		require.LessOrEqual(t, slices.Max(r.processor.calls), maxCallItems)
		require.Len(t, r.processor.calls, workers+4+1+5, "calls are full: 3992 of 1000 B, one of 5 MiB alone, 4999 of 10 B")
	})
}

func TestAStopAnswersNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, stop := start(t, func(ctx context.Context, _ []int) error {
			<-ctx.Done()
			return status.FromContextError(ctx.Err()).Err()
		})
		r.submit(0, 100, 10)
		synctest.Wait()
		stop()
		require.Empty(t, r.done)
	})
}

func BenchmarkRoute(b *testing.B) {
	p := &processor{judged: map[int]int{}}
	router := New(Deps{Processor: p, Log: testkit.Quiet(), Losses: losses.NewLosses(nil, "aggregator"), Judged: func([]*processorv1.Summary) {}})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = router.Run(ctx) }()
	items := make([]Item, 100)
	b.ReportAllocs()
	for b.Loop() {
		var wg sync.WaitGroup
		wg.Add(len(items))
		for i := range items {
			items[i] = Item{Exchange: exchange(i), Size: 800, Done: func(bool) { wg.Done() }}
		}
		router.Submit(items)
		wg.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/exchange")
	cancel()
	<-ended
}
