package report

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"

	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/queue"
)

// OwnerHeader carries what a client's owner is found by.
const OwnerHeader = "sidelight-client"

const (
	factBatch = 1024
	factWait  = 100 * time.Millisecond
	// shares is how many shares all clients fall into; one share goes to one owner in one call.
	shares = 64
	// callsAtOnce bounds the calls under way.
	callsAtOnce  = 8
	trackTimeout = 3 * time.Second
	factPlace    = "facts"
)

// pauses between attempts; after the last the facts are given up: a window of a minute is of no use an hour later.
func pauses() []time.Duration {
	return []time.Duration{200 * time.Millisecond, time.Second, 3 * time.Second}
}

// tracker keeps the windows of clients.
type tracker interface {
	Track([]*detectionv1.Fact)
}

// Facts hands facts to whoever owns their clients. What finds no room, or no owner, is counted and given up; no verdict waits.
type Facts struct {
	local  tracker
	peers  processorv1.BehaviourServiceClient
	queue  *queue.Queue[*detectionv1.Fact]
	losses *losses.Losses
	log    *slog.Logger
}

// NewFacts makes a sender that sends nothing until Run. Without peers this process owns all clients.
func NewFacts(local tracker, peers grpc.ClientConnInterface, items int, bytes int64, l *losses.Losses, log *slog.Logger) *Facts {
	size := func(f *detectionv1.Fact) int64 { return int64(proto.Size(f)) }
	dropped := func(_ *detectionv1.Fact, why string) { l.Add(factPlace, why, 1) }
	f := &Facts{local: local, queue: queue.New(items, bytes, size, dropped), losses: l, log: log}
	if peers != nil {
		f.peers = processorv1.NewBehaviourServiceClient(peers)
	}
	return f
}

// Push hands a fact over without waiting.
func (f *Facts) Push(v *detectionv1.Fact) { f.queue.Push(v) }

// Run sends until ctx ends.
func (f *Facts) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		// It fails when ctx ends, and then there is nothing to send.
		batch, _ := f.queue.PopBatch(ctx, factBatch, factWait)
		if f.peers == nil {
			f.local.Track(batch)
			continue
		}
		f.send(ctx, batch)
	}
	f.losses.Add(factPlace, "stopped", int64(f.queue.Len()))
	return nil
}

// send makes one call for each share of the clients that the batch speaks of.
func (f *Facts) send(ctx context.Context, batch []*detectionv1.Fact) {
	var byShare [shares][]*detectionv1.Fact
	for _, v := range batch {
		n := share(v)
		byShare[n] = append(byShare[n], v)
	}
	var group errgroup.Group
	group.SetLimit(callsAtOnce)
	for n, facts := range byShare {
		if len(facts) == 0 {
			continue
		}
		group.Go(func() error {
			f.track(ctx, n, facts)
			return nil
		})
	}
	// The calls count their failures themselves.
	_ = group.Wait()
}

// share of a client: all its facts have the same one, so they meet the same owner.
func share(v *detectionv1.Fact) int {
	if len(v.GetClient()) == 0 {
		return 0
	}
	return int(v.GetClient()[0]) % shares
}

func (f *Facts) track(ctx context.Context, share int, facts []*detectionv1.Fact) {
	var err error
	for attempt := 0; ; attempt++ {
		if err = f.call(ctx, share, facts); err == nil {
			return
		}
		if attempt == len(pauses()) || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(pauses()[attempt]):
		}
	}
	f.losses.Add(factPlace, "not_taken", int64(len(facts)))
	f.log.Warn("facts were given up: the owner of their clients cannot be reached", logkey.Error, err, logkey.Count, len(facts))
}

func (f *Facts) call(ctx context.Context, share int, facts []*detectionv1.Fact) error {
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, OwnerHeader, fmt.Sprintf("%02x", share)), trackTimeout)
	defer cancel()
	if _, err := f.peers.Track(ctx, &processorv1.TrackRequest{Facts: facts}); err != nil {
		return fmt.Errorf("handing facts to the owner of their clients: %w", err)
	}
	return nil
}
