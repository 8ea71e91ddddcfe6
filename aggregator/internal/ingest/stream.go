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

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"

	"github.com/sidelight/sidelight/internal/logkey"

	agents "github.com/sidelight/sidelight/aggregator/internal/status"
)

// stream is one agent's stream. One task reads it; another, the RPC's own, writes to it.
type stream struct {
	service *Service
	wire    grpc.BidiStreamingServer[aggregatorv1.MirrorRequest, aggregatorv1.MirrorResponse]
	// What hello said. Only the reader uses the clock.
	node  string
	life  agents.Life
	clock clock
	// slots is full while too many batches have no acknowledgement on the wire.
	slots chan struct{}
	// ended carries why reading ended.
	ended chan error

	mu sync.Mutex
	// greeted: hello was taken and answered; over: the RPC has ended.
	greeted, over bool
	// policy is the one that the agent was told.
	policy *policyv1.AgentPolicy
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

// flush sends what is to be obeyed and acknowledged, and tells whether nothing more is awaited.
func (st *stream) flush() (settled bool, err error) {
	st.mu.Lock()
	answers := st.answers
	st.answers = nil
	settled = st.pending == 0
	policy := st.service.policy.Load()
	if !st.greeted || policy == st.policy {
		policy = nil
	} else {
		st.policy = policy
	}
	st.mu.Unlock()
	if policy != nil {
		if err := st.wire.Send(&aggregatorv1.MirrorResponse{Message: &aggregatorv1.MirrorResponse_Policy{Policy: policy}}); err != nil {
			return false, err
		}
	}
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
			st.clock.report(m.Status, st.service.deps.Now())
			st.service.deps.Agents.Reported(st.life, m.Status)
		case *aggregatorv1.MirrorRequest_Heartbeat:
			st.heartbeat(m.Heartbeat)
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
	if err := st.service.mayName(st.wire.Context(), hello.GetNode()); err != nil {
		return err
	}
	st.node = hello.GetNode()
	st.life = agents.LifeOf(st.node, hello.GetStartedAt())
	st.clock = measure(st.service.deps.Now(), hello)
	st.service.deps.Log.Debug("agent connected", "node", st.node, logkey.Version, hello.GetVersion(),
		logkey.Identity, identities(st.wire.Context()), "clock_offset", st.clock.wall)
	// The agent counts as connected from here on, though nothing is to be acknowledged yet.
	if err := st.wire.SendHeader(nil); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.over {
		return status.Error(codes.Canceled, "the stream has ended")
	}
	st.greeted = true
	st.service.deps.Agents.Opened(st.life, hello.GetVersion())
	st.signal()
	return nil
}

// heartbeat notes how far the agent has watched. One that tells no possible time tells nothing.
func (st *stream) heartbeat(h *aggregatorv1.Heartbeat) {
	if h.GetWatchedUntilMonoNs() == 0 {
		// Nothing is watched yet.
		return
	}
	until, plausible := st.clock.watched(h.GetWatchedUntilMonoNs(), st.service.deps.Now())
	if !plausible {
		st.service.deps.Losses.Add("ingest", "implausible_heartbeat", 1)
		return
	}
	st.service.deps.Agents.Watched(st.life, until)
}

// close is called when the RPC has ended; the reader may be a moment behind.
func (st *stream) close() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.over = true
	if st.greeted {
		st.service.deps.Agents.Closed(st.life)
	}
}

func (st *stream) signal() {
	select {
	case st.ready <- struct{}{}:
	default:
	}
}
