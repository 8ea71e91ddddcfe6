package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	apidiscoveryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/apidiscovery/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"

	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/queue"
)

const (
	observationBatch = 256
	observationWait  = 50 * time.Millisecond
)

// Observer sends observations to apidiscovery, one batch after the other. What finds no room is counted and given up: the
// inventory lives from many exchanges, and no verdict waits for it.
type Observer struct {
	client   apidiscoveryv1.ObservationServiceClient
	queue    *queue.Queue[*inventoryv1.Observation]
	counters *Counters
	losses   *losses.Losses
	log      *slog.Logger
	sequence uint64
}

// NewObserver makes an observer that sends nothing until Run.
func NewObserver(conn grpc.ClientConnInterface, items int, bytes int64, c *Counters, l *losses.Losses, log *slog.Logger) *Observer {
	size := func(o *inventoryv1.Observation) int64 { return int64(proto.Size(o)) }
	dropped := func(_ *inventoryv1.Observation, why string) { l.Add("observations", why, 1) }
	return &Observer{
		client: apidiscoveryv1.NewObservationServiceClient(conn), queue: queue.New(items, bytes, size, dropped), counters: c, losses: l, log: log,
	}
}

// Push hands an observation over without waiting.
func (o *Observer) Push(v *inventoryv1.Observation) { o.queue.Push(v) }

// Run sends until ctx ends.
func (o *Observer) Run(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 100*time.Millisecond, 5*time.Second
	var pending []*inventoryv1.Observation
	defer func() {
		// What could not be sent before the end is given up, and said to be.
		o.losses.Add("observations", "stopped", int64(len(pending)+o.queue.Len()))
	}()
	for ctx.Err() == nil {
		sent, err := o.stream(ctx, &pending)
		if ctx.Err() != nil {
			break
		}
		if sent {
			pause.Reset()
		}
		wait := pause.NextBackOff()
		o.log.Warn("observations wait: apidiscovery cannot be reached", logkey.Error, err, logkey.Duration, wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// stream sends batches over one stream until it breaks. A batch without an acknowledgement stays pending and is sent again;
// apidiscovery drops what it has counted.
func (o *Observer) stream(ctx context.Context, pending *[]*inventoryv1.Observation) (sent bool, err error) {
	if *pending == nil {
		// Connect when there is something to say.
		if *pending, err = o.queue.PopBatch(ctx, observationBatch, observationWait); err != nil {
			return false, fmt.Errorf("waiting for observations: %w", err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := o.client.Observe(ctx)
	if err != nil {
		return false, fmt.Errorf("opening the observation stream: %w", err)
	}
	for {
		o.sequence++
		err := stream.Send(&apidiscoveryv1.ObserveRequest{Sequence: o.sequence, Observations: *pending})
		if err != nil && !errors.Is(err, io.EOF) {
			return sent, fmt.Errorf("sending observations: %w", err)
		}
		if err := acknowledged(stream, o.sequence); err != nil {
			return sent, err
		}
		sent = true
		o.counters.Observations.Add(int64(len(*pending)))
		*pending = nil
		if *pending, err = o.queue.PopBatch(ctx, observationBatch, observationWait); err != nil {
			return sent, fmt.Errorf("waiting for observations: %w", err)
		}
	}
}

// acknowledged reads answers until the batch is counted. What was learned is not used yet.
func acknowledged(stream grpc.BidiStreamingClient[apidiscoveryv1.ObserveRequest, apidiscoveryv1.ObserveResponse], sequence uint64) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("waiting for apidiscovery to count observations: %w", err)
		}
		if m.GetAcknowledged() >= sequence {
			return nil
		}
	}
}
