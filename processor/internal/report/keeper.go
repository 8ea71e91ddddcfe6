package report

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/queue"
)

const (
	keptBatch = 64
	keptItems = 4096
	keptBytes = 4 << 20
	// keepAttempts bounds the time that a hit waits for cloudsync to about ten minutes.
	keepAttempts = 30
	longestPause = 30 * time.Second
	// lastWait is for the last attempt when the process ends.
	lastWait    = 2 * time.Second
	keeperPlace = "behaviour_hits"
)

// Keeper has hits kept that no call waits for: those that a client's behaviour makes.
type Keeper struct {
	client   cloudsyncv1.JournalServiceClient
	queue    *queue.Queue[*detectionv1.Hit]
	timeout  time.Duration
	counters *Counters
	losses   *losses.Losses
	log      *slog.Logger
}

// NewKeeper makes a keeper that keeps nothing until Run.
func NewKeeper(conn grpc.ClientConnInterface, timeout time.Duration, c *Counters, l *losses.Losses, log *slog.Logger) *Keeper {
	size := func(h *detectionv1.Hit) int64 { return int64(proto.Size(h)) }
	dropped := func(_ *detectionv1.Hit, why string) { l.Add(keeperPlace, why, 1) }
	return &Keeper{
		client: cloudsyncv1.NewJournalServiceClient(conn), queue: queue.New(keptItems, keptBytes, size, dropped), timeout: timeout,
		counters: c, losses: l, log: log,
	}
}

// Push hands a hit over without waiting.
func (k *Keeper) Push(h *detectionv1.Hit) { k.queue.Push(h) }

// Run has hits kept until ctx ends, and tries once more then.
func (k *Keeper) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		// It fails when ctx ends, and then there is nothing to keep.
		if hits, _ := k.queue.PopBatch(ctx, keptBatch, 0); len(hits) > 0 {
			k.keep(ctx, hits)
		}
	}
	// What came in the last moment.
	for k.queue.Len() > 0 {
		hits, _ := k.queue.PopBatch(context.WithoutCancel(ctx), keptBatch, 0)
		k.last(ctx, hits)
	}
	return nil
}

// last is the only attempt that is left when the process ends.
func (k *Keeper) last(ctx context.Context, hits []*detectionv1.Hit) {
	if err := k.commit(context.WithoutCancel(ctx), hits, lastWait); err != nil {
		k.losses.Add(keeperPlace, "stopped", int64(len(hits)))
	}
}

func (k *Keeper) keep(ctx context.Context, hits []*detectionv1.Hit) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 200*time.Millisecond, longestPause
	for range keepAttempts {
		err := k.commit(ctx, hits, k.timeout)
		if err == nil {
			return
		}
		wait := pause.NextBackOff()
		k.log.Warn("hits of clients' behaviour wait: cloudsync cannot keep them", logkey.Error, err, logkey.Duration, wait)
		select {
		case <-ctx.Done():
			k.last(ctx, hits)
			return
		case <-time.After(wait):
		}
	}
	k.losses.Add(keeperPlace, "not_kept", int64(len(hits)))
}

func (k *Keeper) commit(ctx context.Context, hits []*detectionv1.Hit, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, err := k.client.Commit(ctx, &cloudsyncv1.CommitRequest{Hits: hits}); err != nil {
		return fmt.Errorf("having hits kept: %w", err)
	}
	for _, h := range hits {
		k.counters.Hit(h.GetType())
	}
	return nil
}
