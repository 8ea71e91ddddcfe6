package ingest

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"

	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/tlsreload"

	"github.com/sidelight/sidelight/aggregator/internal/route"
)

// stream is one agent's stream. One task reads it; another, the RPC's own, writes to it.
type stream struct {
	service *Service
	wire    grpc.BidiStreamingServer[aggregatorv1.MirrorRequest, aggregatorv1.MirrorResponse]
	node    string
	clock   clock
	// slots is full while too many batches have no acknowledgement on the wire.
	slots chan struct{}
	// ended carries why reading ended.
	ended chan error

	mu sync.Mutex
	// pending counts batches that are not judged yet; answers are acknowledgements not sent yet.
	pending int
	answers []*aggregatorv1.Ack
	ready   chan struct{}
}

// serve writes acknowledgements until the stream ends.
func (st *stream) serve(ctx context.Context) error {
	var (
		result   error
		reading  = st.ended
		stopped  = st.service.stopped
		deadline <-chan time.Time
	)
	for {
		settled, err := st.flush()
		if err != nil {
			return err
		}
		// All was read, or will be read no more, and all that was read is answered.
		if settled && (reading == nil || stopped == nil) {
			if stopped == nil {
				return status.Error(codes.Unavailable, "the aggregator stops: connect again")
			}
			return result
		}
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-st.ready:
		case err := <-reading:
			reading = nil
			if err != nil {
				return err
			}
		case <-stopped:
			stopped = nil
			timer := time.NewTimer(drain)
			defer timer.Stop()
			deadline = timer.C
		case <-deadline:
			return status.Error(codes.Unavailable, "the aggregator stops: connect again and send what was not acknowledged")
		}
	}
}

// flush sends what is to be acknowledged and tells whether nothing more is awaited.
func (st *stream) flush() (settled bool, err error) {
	st.mu.Lock()
	answers := st.answers
	st.answers = nil
	settled = st.pending == 0
	st.mu.Unlock()
	for _, ack := range answers {
		if err := st.wire.Send(&aggregatorv1.MirrorResponse{Message: &aggregatorv1.MirrorResponse_Ack{Ack: ack}}); err != nil {
			return false, err
		}
		st.service.Acks.Add(1)
		<-st.slots
	}
	return settled, nil
}

// read takes messages in until the agent says no more, or something is wrong, or the aggregator stops.
func (st *stream) read(ctx context.Context) { st.ended <- st.receive(ctx) }

func (st *stream) receive(ctx context.Context) error {
	first, err := st.wire.Recv()
	if err != nil {
		return ended(err)
	}
	if err := st.greet(first.GetHello()); err != nil {
		return err
	}
	for {
		m, err := st.wire.Recv()
		if err != nil {
			return ended(err)
		}
		switch m := m.GetMessage().(type) {
		case *aggregatorv1.MirrorRequest_Batch:
			err = st.take(ctx, m.Batch)
		case *aggregatorv1.MirrorRequest_Status:
			st.service.deps.Statuses.FromAgent(st.node, m.Status)
		case *aggregatorv1.MirrorRequest_Hello:
			err = status.Error(codes.InvalidArgument, "a second hello: open another stream")
		default:
			// A newer agent may say things that this release does not know.
			st.service.deps.Losses.Add("ingest", "unknown_message", 1)
		}
		if err != nil {
			return err
		}
	}
}

// ended gives nil for an agent that has said all it wanted.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (st *stream) greet(hello *aggregatorv1.Hello) error {
	if hello == nil {
		return status.Error(codes.InvalidArgument, "the first message of a stream must be hello")
	}
	if hello.GetNode() == "" || !hello.GetWall().IsValid() {
		return status.Error(codes.InvalidArgument, "hello must name the node and the agent's wall clock")
	}
	st.node = hello.GetNode()
	st.clock = measure(st.service.deps.Now(), hello)
	st.service.deps.Log.Debug("agent connected", "node", st.node, logkey.Version, hello.GetVersion(),
		logkey.Identity, identities(st.wire.Context()), "clock_offset", st.clock.wall)
	// The agent counts as connected from here on, though nothing is to be acknowledged yet.
	return st.wire.SendHeader(nil)
}

func identities(ctx context.Context) []string {
	if certificate := rpc.PeerCertificate(ctx); certificate != nil {
		return tlsreload.PeerIdentities(certificate)
	}
	return nil
}

// take hands a batch on; it waits while there is no room for it.
func (st *stream) take(ctx context.Context, b *aggregatorv1.Batch) error {
	s := st.service
	sizes, total := make([]int64, len(b.GetExchanges())), int64(overhead)
	for i, x := range b.GetExchanges() {
		sizes[i] = int64(proto.Size(x))
		total += sizes[i] + overhead
	}
	select {
	case st.slots <- struct{}{}:
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
	release, err := s.reserve(ctx, total)
	if err != nil {
		return status.FromContextError(err).Err()
	}
	select {
	case <-s.stopped:
		// The agent sends it again, elsewhere.
		release()
		<-st.slots
		return nil
	default:
	}
	s.Batches.Add(1)
	s.Exchanges.Add(int64(len(sizes)))
	open := &batch{stream: st, sequence: b.GetSequence(), release: release}
	items := make([]route.Item, 0, len(sizes))
	now := s.deps.Now()
	for i, x := range b.GetExchanges() {
		if reason := st.prepare(x, sizes[i], now); reason != "" {
			s.deps.Losses.Add("ingest", reason, 1)
			open.refused++
			continue
		}
		items = append(items, route.Item{Exchange: x, Size: sizes[i], Done: open.done})
	}
	st.mu.Lock()
	st.pending++
	st.mu.Unlock()
	open.left = len(items)
	if len(items) == 0 {
		open.answer()
		return nil
	}
	s.deps.Router.Submit(items)
	return nil
}
