// Package route hands exchanges to the processor, many in one call, and keeps them until they are judged.
package route

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/losses"
)

const (
	// maxCall bounds the exchanges of one call, in bytes; a bigger exchange goes alone.
	maxCall = 1 << 20
	// maxCallItems keeps a call's answer and its time small.
	maxCallItems = 1024
	// workers is how many calls with fresh exchanges are under way at once.
	workers = 8
	// probers is the same for calls that look for what made others fail, whatever that does to the processor.
	probers = 16
	// callTimeout is how long the processor may take before the call is made again.
	callTimeout = 30 * time.Second
)

// Item is one exchange on its way.
type Item struct {
	Exchange *trafficv1.Exchange
	Size     int64
	// Source is who it comes from; sources take turns.
	Source string
	// Done is called once, when it was judged or, after all else failed, refused. It must not wait.
	Done func(refused bool)
}

type inspector interface {
	Inspect(ctx context.Context, in *processorv1.InspectRequest, opts ...grpc.CallOption) (*processorv1.InspectResponse, error)
}

// Deps is what a router works with.
type Deps struct {
	Processor inspector
	// Judged takes the summaries of every answer; it must not wait.
	Judged func([]*processorv1.Summary)
	Log    *slog.Logger
	Losses *losses.Losses
}

// Router holds what is not judged yet. Its callers bound how much that is.
type Router struct {
	deps Deps
	// Calls and Failures count calls to the processor; NotKept the exchanges that it could not have kept, each time anew.
	Calls, Failures, Judged, NotKept atomic.Int64

	mu sync.Mutex
	// fresh waits to be put into calls.
	fresh lines
	// suspects are parts of calls that failed by what may be in them; they go on by themselves.
	suspects []suspect
	held     held
	// attempt counts failures in a row of the processor as a whole; until resumes, no fresh call is made.
	attempt int
	resumes time.Time
	// lastJudged is when a call last succeeded.
	lastJudged time.Time
	// wakeWorker and wakeProber have tokens when there may be something to do.
	wakeWorker, wakeProber chan struct{}
}

// New makes a router that does nothing until Run.
func New(deps Deps) *Router {
	return &Router{deps: deps, wakeWorker: make(chan struct{}, workers), wakeProber: make(chan struct{}, probers)}
}

// Submit adds exchanges. It never waits.
func (r *Router) Submit(items []Item) {
	r.mu.Lock()
	r.fresh.push(items)
	r.mu.Unlock()
	signal(r.wakeWorker)
}

// Run makes calls until ctx ends. What is not judged then stays unanswered: the agents send it again.
func (r *Router) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { r.work(ctx, r.nextFresh, r.wakeWorker) })
	}
	for range probers {
		wg.Go(func() { r.work(ctx, r.nextSuspect, r.wakeProber) })
	}
	wg.Wait()
	return nil
}

func (r *Router) work(ctx context.Context, next func(time.Time) (suspect, time.Duration), wake <-chan struct{}) {
	for ctx.Err() == nil {
		call, wait := next(time.Now())
		if len(call.items) > 0 {
			r.call(ctx, call)
			continue
		}
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
		}
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer:
		}
	}
}

// nextFresh gives the exchanges of one call, or says how long to wait for some; 0 = until something comes.
func (r *Router) nextFresh(now time.Time) (suspect, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fresh.items == 0 {
		return suspect{}, 0
	}
	if pause := r.resumes.Sub(now); pause > 0 {
		return suspect{}, pause
	}
	items := r.fresh.take(maxCallItems, maxCall)
	if r.fresh.items > 0 {
		signal(r.wakeWorker)
	}
	return suspect{items: items, fresh: true, judged: r.Judged.Load()}, 0
}

func (r *Router) call(ctx context.Context, s suspect) {
	request := &processorv1.InspectRequest{Exchanges: make([]*trafficv1.Exchange, len(s.items))}
	for i, item := range s.items {
		request.Exchanges[i] = item.Exchange
	}
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	response, err := r.deps.Processor.Inspect(callCtx, request)
	cancel()
	r.Calls.Add(1)
	if err != nil {
		r.Failures.Add(1)
		// On a stop all stays as it is: nobody is told that it was judged.
		if ctx.Err() == nil {
			r.failed(s, err)
		}
		return
	}
	r.answered(s, response)
}

// answered ends what was judged, and holds what has hits that could not be kept.
func (r *Router) answered(s suspect, response *processorv1.InspectResponse) {
	notKept := map[int]bool{}
	for _, n := range response.GetNotKept() {
		notKept[int(n)] = true
	}
	var summaries []*processorv1.Summary
	var left []Item
	for n, item := range s.items {
		if notKept[n] {
			left = append(left, item)
			continue
		}
		item.Done(false)
		if n < len(response.GetSummaries()) {
			summaries = append(summaries, response.GetSummaries()[n])
		}
	}
	r.Judged.Add(int64(len(s.items) - len(left)))
	r.NotKept.Add(int64(len(left)))
	r.succeeded(s, left)
	r.deps.Judged(summaries)
}

// Waiting counts exchanges that are in no call.
func (r *Router) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.fresh.items + len(r.held.items)
	for _, s := range r.suspects {
		n += len(s.items)
	}
	return n
}

func signal(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
