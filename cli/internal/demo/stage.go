package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidelight/sidelight/cli/internal/operator"
	"github.com/sidelight/sidelight/cli/table"

	"github.com/sidelight/sidelight/standalone"
)

// stage is one performance: traffic is sent, watched and judged.
type stage struct {
	demo     *demo
	site     *site
	launcher *standalone.Launcher
	state    standalone.State
	list     []table.Request
	watcher  *table.Watcher
	console  *table.Console

	mu       sync.Mutex
	sentAt   map[string]time.Time
	statuses map[string]int
	overTLS  atomic.Int64
}

func (s *stage) play(ctx context.Context) error {
	credentials, err := s.launcher.Operator()
	if err != nil {
		return err
	}
	conn, err := operator.Dial(credentials, "aggregator")
	if err != nil {
		return err
	}
	defer conn.Close()
	trusting, err := operator.Trusting(credentials)
	if err != nil {
		return err
	}
	if s.console, err = table.SignIn(ctx, trusting, nil, s.state.ConsoleURL, s.state.AdminSecret); err != nil {
		return err
	}
	open := make(chan struct{})
	tailCtx, stop := context.WithCancelCause(ctx)
	tailEnd := make(chan error, 1)
	go func() {
		err := s.watcher.Run(tailCtx, conn, func() { close(open) })
		stop(err)
		tailEnd <- err
	}()
	defer func() {
		stop(nil)
		<-tailEnd //nolint:errcheck // it only says that the tail was ended from here
	}()
	select {
	case <-tailCtx.Done():
		return context.Cause(tailCtx)
	case <-open:
	}
	if s.demo.opts.idle {
		return s.idle(tailCtx)
	}
	if err := s.send(tailCtx); err != nil {
		return err
	}
	s.watcher.Await(tailCtx, s.list, settle)
	if err := context.Cause(tailCtx); err != nil {
		return err
	}
	if err := s.judge(ctx); err != nil {
		return err
	}
	if s.demo.opts.stay {
		return s.live(tailCtx)
	}
	return nil
}

// send plays the whole list over a few connections.
func (s *stage) send(ctx context.Context) error {
	s.sentAt, s.statuses = map[string]time.Time{}, map[string]int{}
	work := make(chan table.Request)
	errs := make(chan error, senders)
	for i := range senders {
		go func() {
			client := s.site.sender(i%2 == 1)
			defer client.Close()
			var failed error
			for p := range work {
				if failed != nil {
					continue
				}
				s.mark(p, time.Now(), 0)
				status, err := client.Send(ctx, p)
				if err != nil {
					failed = fmt.Errorf("%s: %w", p.Name, err)
					continue
				}
				s.mark(p, time.Time{}, status)
				if i%2 == 1 {
					s.overTLS.Add(1)
				}
			}
			errs <- failed
		}()
	}
	for _, p := range s.list {
		if ctx.Err() != nil {
			break
		}
		work <- p
	}
	close(work)
	var failed error
	for range senders {
		failed = errors.Join(failed, <-errs)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return failed
}

// senders are the connections that play the list, every other one with TLS.
const senders = 2

func (s *stage) mark(p table.Request, at time.Time, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !at.IsZero() {
		s.sentAt[p.Nonce] = at
	}
	if status != 0 {
		s.statuses[p.Nonce] = status
	}
}

// consoleWithin bounds the wait for what was seen to stand in the console.
const consoleWithin = 15 * time.Second

// judge prints the tables and says whether all is as expected.
func (s *stage) judge(ctx context.Context) error {
	rows, endpoints, err := s.awaitConsole(ctx)
	if err != nil {
		return err
	}
	table.Print(s.demo.out, rows)
	table.PrintEndpoints(s.demo.out, endpoints)
	sent, seen, bad := 0, 0, ""
	for _, r := range rows {
		sent, seen = sent+r.Sent, seen+r.Seen
		if !r.Good && bad == "" {
			bad = fmt.Sprintf("%s %s: %s", r.Kind, r.Name, r.Why)
		}
	}
	var tail delays
	for _, p := range s.list {
		if _, _, first := s.watcher.Of(p.Nonce); !first.IsZero() {
			tail = append(tail, first.Sub(s.sentAt[p.Nonce]))
		}
	}
	fmt.Fprintf(s.demo.out, "\nsent %d, %d of them over TLS; seen %d; from sending to the tail p50 %s, p99 %s; all of it %s\n",
		sent, s.overTLS.Load(), seen, tail.quantile(0.5), tail.quantile(0.99), time.Since(s.demo.started).Round(100*time.Millisecond))
	switch {
	case seen == 0:
		return failure(fmt.Sprintf("0 of %d requests were seen: nothing is mirrored", sent))
	case s.watcher.Lost() > 0:
		return failure(fmt.Sprintf("the tail was too slow for %d summaries", s.watcher.Lost()))
	case bad != "":
		return failure(bad)
	case len(s.watcher.Strangers(s.list)) > 0:
		return failure(fmt.Sprintf("%d requests were seen that the demo did not send", len(s.watcher.Strangers(s.list))))
	case !table.Equal(endpoints):
		return failure("the endpoints found are not the shop's routes")
	}
	fmt.Fprintln(s.demo.out, "demo OK: every request seen once, every verdict as expected, the endpoints are the shop's routes")
	return nil
}

// awaitConsole reads the console until all is as expected there, or its time is up: what stands then is judged.
func (s *stage) awaitConsole(ctx context.Context) ([]table.Row, []table.EndpointRow, error) {
	deadline := time.NewTimer(consoleWithin)
	defer deadline.Stop()
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for {
		inConsole, err := s.console.AttackNonces(ctx)
		if err != nil {
			return nil, nil, err
		}
		found, err := s.console.ListEndpoints(ctx)
		if err != nil {
			return nil, nil, err
		}
		rows, endpoints := table.Judge(s.list, s.watcher, inConsole), table.JudgeEndpoints(found)
		if table.Good(rows) && table.Equal(endpoints) || s.watcher.Missing(s.list) == len(s.list) {
			return rows, endpoints, nil
		}
		select {
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-deadline.C:
			return rows, endpoints, nil
		case <-again.C:
		}
	}
}
