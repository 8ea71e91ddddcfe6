package report

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"

	"github.com/sidelight/sidelight/internal/logkey"
)

// knockEvery is how often a journal that is away is asked whether it is back.
const knockEvery = 200 * time.Millisecond

// Gate is shut while the journal does not take hits, so that no call waits in vain, and benign exchanges not at all.
type Gate struct {
	journal cloudsyncv1.JournalServiceClient
	timeout time.Duration
	log     *slog.Logger
	shut    atomic.Bool
	failed  chan struct{}
}

// NewGate makes an open gate; Run opens it again after a failure.
func NewGate(conn grpc.ClientConnInterface, timeout time.Duration, log *slog.Logger) *Gate {
	return &Gate{journal: cloudsyncv1.NewJournalServiceClient(conn), timeout: timeout, log: log, failed: make(chan struct{}, 1)}
}

// Open tells whether a commit is worth trying.
func (g *Gate) Open() bool { return !g.shut.Load() }

// Failed shuts the gate.
func (g *Gate) Failed(err error) {
	if g.shut.CompareAndSwap(false, true) {
		g.log.Warn("the journal takes no hits; exchanges with hits are sent again, the others go on", logkey.Error, err)
	}
	select {
	case g.failed <- struct{}{}:
	default:
	}
}

// Run knocks at a journal that is away, with an empty commit, until ctx ends.
func (g *Gate) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.failed:
		}
		for g.shut.Load() && ctx.Err() == nil {
			g.knock(ctx)
		}
	}
}

func (g *Gate) knock(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(knockEvery):
	}
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	if _, err := g.journal.Commit(ctx, &cloudsyncv1.CommitRequest{}); err == nil && g.shut.CompareAndSwap(true, false) {
		g.log.Info("the journal takes hits again")
	}
}
