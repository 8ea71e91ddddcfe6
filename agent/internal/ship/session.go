package ship

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
)

type mirrorStream interface {
	SendMsg(any) error
	Recv() (*aggregatorv1.MirrorResponse, error)
	Header() (metadata.MD, error)
	CloseSend() error
}

// beatsPerIdle is how many heartbeats a busy agent sends in the time of one of an idle agent.
const beatsPerIdle = 10

// session is one stream's life.
type session struct {
	*Shipper
	stream mirrorStream
	// received is closed when nothing more comes; broken says why.
	received chan struct{}
	broken   error
	// news: something was acknowledged since the last heartbeat.
	news atomic.Bool
}

// session opens a stream and serves it. Nil: it was renewed.
func (s *Shipper) session(ctx, streamCtx context.Context) error {
	streamCtx, cancel := context.WithCancel(streamCtx)
	defer cancel()
	stream, err := s.deps.Client.Mirror(streamCtx, grpc.ForceCodecV2(newCodec()))
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	t := &session{Shipper: s, stream: stream, received: make(chan struct{})}
	if err := t.send("hello", s.hello()); err != nil {
		return err
	}
	go t.receive()
	err = t.play(ctx)
	// The receiver ends with the stream.
	cancel()
	<-t.received
	return err
}

func (s *Shipper) hello() *aggregatorv1.MirrorRequest {
	hello := &aggregatorv1.Hello{
		Node: s.deps.Hello.GetNode(), BootId: s.deps.Hello.GetBootId(), Version: s.deps.Hello.GetVersion(), StartedAt: s.deps.Hello.GetStartedAt(),
		Wall: timestamppb.Now(), MonoNs: s.deps.Mono(),
	}
	return &aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Hello{Hello: hello}}
}

func (t *session) receive() {
	defer close(t.received)
	// The aggregator answers the greeting with the stream's header. An error shows in Recv, too.
	if _, err := t.stream.Header(); err == nil {
		t.connected.Store(true)
	}
	for {
		message, err := t.stream.Recv()
		if err != nil {
			t.broken = fmt.Errorf("receiving: %w", err)
			return
		}
		if ack := message.GetAck(); ack != nil {
			t.mu.Lock()
			t.buffer.acknowledge(ack.GetSequence(), int(ack.GetRefused()))
			t.mu.Unlock()
			t.news.Store(true)
			t.notify()
		}
		if policy := message.GetPolicy(); policy != nil {
			t.deps.Policy(policy)
		}
	}
}

// play sends what is not acknowledged, then what comes, until the stream breaks, its time is up or ctx ends.
func (t *session) play(ctx context.Context) error {
	t.mu.Lock()
	again := t.buffer.unacknowledged()
	t.mu.Unlock()
	for _, b := range again {
		if err := t.sendBatch("a batch again", b); err != nil {
			return err
		}
	}
	if err := t.report(); err != nil {
		return err
	}
	renew := time.NewTimer(t.cfg.Renew*4/5 + rand.N(t.cfg.Renew*2/5))
	defer renew.Stop()
	status, beat := time.NewTicker(t.cfg.StatusEvery), time.NewTicker(t.cfg.HeartbeatEvery/beatsPerIdle)
	defer status.Stop()
	defer beat.Stop()
	linger := time.NewTimer(0)
	defer linger.Stop()
	var armed bool
	quiet := 0
	for {
		var err error
		select {
		case <-t.received:
			return t.broken
		case <-ctx.Done():
			return t.drain(true)
		case <-renew.C:
			return t.drain(false)
		case <-status.C:
			err = t.report()
		case <-beat.C:
			if quiet++; t.news.Swap(false) || quiet >= beatsPerIdle {
				quiet = 0
				err = t.heartbeat()
			}
		case <-t.wake:
			if !armed {
				linger.Reset(t.cfg.Linger)
				armed = true
			}
		case <-linger.C:
			armed = false
			err = t.sendWaiting()
		}
		if err != nil {
			return err
		}
	}
}

func (t *session) sendWaiting() error {
	for {
		t.mu.Lock()
		b := t.buffer.cut(t.cfg.BatchItems, t.cfg.BatchBytes)
		t.mu.Unlock()
		if b == nil {
			return nil
		}
		if err := t.sendBatch("a batch", b); err != nil {
			return err
		}
	}
}

// drain waits for acknowledgements before the stream ends: so a renewal sends nothing twice. The last stream also sends what waits.
func (t *session) drain(last bool) error {
	deadline := time.NewTimer(t.cfg.Drain * 3 / 4)
	defer deadline.Stop()
	for {
		if last {
			if err := t.sendWaiting(); err != nil {
				return err
			}
		}
		t.mu.Lock()
		done := len(t.buffer.inflight) == 0
		t.mu.Unlock()
		if done {
			break
		}
		select {
		case <-t.received:
			return t.broken
		case <-deadline.C:
			return t.bye()
		case <-t.wake:
		}
	}
	// What came meanwhile waits for the next stream.
	t.notify()
	return t.bye()
}

// bye ends a stream in good order: the aggregator has the last word, or else what was said last might not be read.
func (t *session) bye() error {
	if err := t.report(); err != nil {
		return err
	}
	if err := t.heartbeat(); err != nil {
		return err
	}
	if err := t.stream.CloseSend(); err != nil {
		return fmt.Errorf("ending: %w", err)
	}
	patience := time.NewTimer(t.cfg.Drain / 4)
	defer patience.Stop()
	select {
	case <-t.received:
	case <-patience.C:
	}
	return nil
}

func (t *session) report() error {
	return t.send("status", &aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Status{Status: t.deps.Status()}})
}

func (t *session) heartbeat() error {
	beat := &aggregatorv1.Heartbeat{WatchedUntilMonoNs: t.Watermark()}
	return t.send("a heartbeat", &aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Heartbeat{Heartbeat: beat}})
}

func (t *session) sendBatch(what string, b *batch) error {
	t.BytesSent.Add(uint64(len(b.wire)))
	return t.send(what, b.wire)
}

// send gives the stream a message: a frame, or a MirrorRequest.
func (t *session) send(what string, message any) error {
	if err := t.stream.SendMsg(message); err != nil {
		return fmt.Errorf("sending %s: %w", what, err)
	}
	return nil
}
