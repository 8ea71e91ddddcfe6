// Package push brings changed endpoints to cloudsync, on their way to the console: the database is the outbox, and what is
// not acknowledged is sent again.
package push

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"

	"github.com/sidelight/sidelight/internal/logkey"
)

// outbox holds what is to be pushed.
type outbox interface {
	Due(ctx context.Context, now time.Time, most int32) ([]*inventoryv1.Endpoint, error)
	Pushed(ctx context.Context, endpoints []*inventoryv1.Endpoint) error
}

const (
	mostDeltas = 200
	// mostBytes keeps a call under the message limit of the receiver.
	mostBytes   = 4 << 20
	callTimeout = 10 * time.Second
	slowest     = 10 * time.Second
)

// Pusher sends what is due.
type Pusher struct {
	client cloudsyncv1.InventoryServiceClient
	outbox outbox
	every  time.Duration
	log    *slog.Logger

	Deltas, Failures atomic.Int64
	failing          bool
}

// New makes a pusher that does nothing until Run.
func New(conn grpc.ClientConnInterface, box outbox, every time.Duration, log *slog.Logger) *Pusher {
	return &Pusher{client: cloudsyncv1.NewInventoryServiceClient(conn), outbox: box, every: every, log: log}
}

// Run pushes until ctx ends.
func (p *Pusher) Run(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = p.every, slowest
	wait := p.every
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = p.turn(ctx, pause)
	}
}

// turn sends one batch, and gives the time until the next.
func (p *Pusher) turn(ctx context.Context, pause *backoff.ExponentialBackOff) time.Duration {
	more, err := p.once(ctx)
	if err != nil {
		p.Failures.Add(1)
		if !p.failing && ctx.Err() == nil {
			p.log.Warn("changed endpoints wait: they are sent again", logkey.Error, err)
		}
		p.failing = true
		return pause.NextBackOff()
	}
	if p.failing {
		p.log.Info("changed endpoints go out again")
	}
	p.failing = false
	pause.Reset()
	if more {
		return 0
	}
	return p.every
}

// once sends one batch; more: there is another.
func (p *Pusher) once(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	due, err := p.outbox.Due(ctx, time.Now(), mostDeltas)
	if err != nil || len(due) == 0 {
		return false, err
	}
	more = len(due) == mostDeltas
	request := &cloudsyncv1.PushDeltasRequest{}
	size := 0
	for i, e := range due {
		if size += proto.Size(e); size > mostBytes && i > 0 {
			due, more = due[:i], true
			break
		}
		request.Deltas = append(request.Deltas, &inventoryv1.EndpointDelta{Endpoint: e, Archived: e.GetAliasOf() != ""})
	}
	if _, err := p.client.PushDeltas(ctx, request); err != nil {
		return false, fmt.Errorf("pushing endpoints to cloudsync: %w", err)
	}
	if err := p.outbox.Pushed(ctx, due); err != nil {
		return false, err
	}
	p.Deltas.Add(int64(len(due)))
	return more, nil
}
