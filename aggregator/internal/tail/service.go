package tail

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"

	"github.com/sidelight/sidelight/internal/filter"
	"github.com/sidelight/sidelight/internal/losses"
)

// patience is how long a reader may take nothing while summaries wait for it.
const patience = 30 * time.Second

// Service answers TailService.
type Service struct {
	aggregatorv1.UnimplementedTailServiceServer
	hub      *Hub
	losses   *losses.Losses
	patience time.Duration
}

// NewService makes the service of a hub.
func NewService(hub *Hub, l *losses.Losses) *Service {
	return &Service{hub: hub, losses: l, patience: patience}
}

// Tail sends summaries until the reader goes away, or takes nothing for too long.
func (s *Service) Tail(req *aggregatorv1.TailRequest, out grpc.ServerStreamingServer[aggregatorv1.TailResponse]) error {
	wanted, err := filter.Parse(req.GetFilter())
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	r, ok := s.hub.subscribe(req.GetAttacksOnly(), wanted)
	if !ok {
		return status.Errorf(codes.ResourceExhausted, "%d readers watch already: try again when one has left", maxReaders)
	}
	defer s.hub.unsubscribe(r)
	// The reader learns that all from here on is seen.
	if err := out.SendHeader(nil); err != nil {
		return err
	}
	// A send that its reader does not take ends with the RPC and not before, so another task sends.
	sender := &sender{out: out, reader: r, done: make(chan struct{}), began: time.Now(), ended: make(chan error, 1)}
	defer close(sender.done)
	go func() { sender.ended <- sender.run() }()
	return s.watch(out.Context(), sender)
}

// watch ends the RPC when the reader is gone, the aggregator stops, or a send stands still.
func (s *Service) watch(ctx context.Context, sender *sender) error {
	look := time.NewTicker(s.patience / 10)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-s.hub.stopped:
			return status.Error(codes.Unavailable, "the aggregator stops: connect again")
		case err := <-sender.ended:
			return err
		case <-look.C:
			if sender.standsFor() >= s.patience {
				s.losses.Add("tail", "slow_reader", 1)
				return status.Errorf(codes.ResourceExhausted,
					"nothing was read for %s while summaries waited: connect again, and read faster or ask for less", s.patience)
			}
		}
	}
}

// sender writes to one reader.
type sender struct {
	out    grpc.ServerStreamingServer[aggregatorv1.TailResponse]
	reader *reader
	done   chan struct{}
	ended  chan error
	began  time.Time
	// since is when the send that is under way began, as time after began; 0: none is.
	since atomic.Int64
}

func (s *sender) standsFor() time.Duration {
	since := s.since.Load()
	if since == 0 {
		return 0
	}
	return time.Since(s.began) - time.Duration(since)
}

func (s *sender) run() error {
	for {
		select {
		case <-s.done:
			return nil
		case <-s.reader.arrived:
		}
		items, dropped := s.reader.take()
		for _, item := range items {
			s.since.Store(int64(time.Since(s.began)) | 1)
			err := s.out.Send(&aggregatorv1.TailResponse{Summary: item.summary, Dropped: dropped})
			s.since.Store(0)
			if err != nil {
				return err
			}
			dropped = 0
		}
	}
}
