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
			call := t.stuck || t.draining
			t.stuck = false
			t.mu.Unlock()
			t.news.Store(true)
			if call {
				t.notify()
			}
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
	status := time.NewTicker(t.cfg.StatusEvery)
	defer status.Stop()
	beat := newPulse(t.cfg.HeartbeatEvery)
	defer beat.timer.Stop()
	t.mu.Lock()
	t.lingers, t.called, t.stuck, t.draining = true, false, false, false
	t.linger.Reset(0)
	t.mu.Unlock()
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
		case <-beat.timer.C:
			if beat.beat(t.news.Swap(false)) {
				err = t.heartbeat()
			}
		case <-t.wake:
			beat.quicken()
			err = t.sendFull()
		case <-t.linger.C:
			beat.quicken()
			if err = t.sendOne(); err == nil {
				err = t.sendFull()
			}
		}
		if err != nil {
			return err
		}
	}
}

// sendFull sends one full batch. If there is another one, it calls again: in a flood there always is, and heartbeats and the end of
// the stream must have their turn. What fills no batch waits a little for what comes with it.
func (t *session) sendFull() error {
	if b := t.next(true); b != nil {
		if err := t.sendBatch("a batch", b); err != nil {
			return err
		}
	}
	t.mu.Lock()
	t.await()
	call := t.full() && !t.stuck
	t.called = t.called || call
	t.mu.Unlock()
	if call {
		t.notify()
	}
	return nil
}

// sendOne sends what has waited long enough.
func (t *session) sendOne() error {
	t.mu.Lock()
	t.lingers = false
	t.mu.Unlock()
	if b := t.next(false); b != nil {
		return t.sendBatch("a batch", b)
	}
	return nil
}

// sendWaiting sends all that waits.
func (t *session) sendWaiting() error {
	for b := t.next(false); b != nil; b = t.next(false) {
		if err := t.sendBatch("a batch", b); err != nil {
			return err
		}
	}
	return nil
}

// next cuts a batch, nil if there is none to send now.
func (t *session) next(full bool) *batch {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.called = false
	if full && !t.full() {
		return nil
	}
	b := t.buffer.cut(t.cfg.BatchItems, t.cfg.BatchBytes)
	if b == nil {
		t.stuck = t.buffer.waiting > 0
	}
	return b
}

// drain waits for acknowledgements before the stream ends: so a renewal sends nothing twice. The last stream also sends what waits.
func (t *session) drain(last bool) error {
	deadline := time.NewTimer(t.cfg.Drain * 3 / 4)
	defer deadline.Stop()
	t.mu.Lock()
	t.draining = true
	t.mu.Unlock()
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
	// What came meanwhile waits for the next stream, which begins with it.
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

// sendBatch sends a batch that is in flight; one that was acknowledged meanwhile is not sent again.
func (t *session) sendBatch(what string, b *batch) error {
	t.mu.Lock()
	if t.buffer.inflight[b.sequence] != b {
		t.mu.Unlock()
		return nil
	}
	m := b.frame.message()
	t.mu.Unlock()
	t.BytesSent.Add(uint64(b.size))
	return t.send(what, m)
}

// send gives the stream a message: a frame's, or a MirrorRequest.
func (t *session) send(what string, message any) error {
	if err := t.stream.SendMsg(message); err != nil {
		return fmt.Errorf("sending %s: %w", what, err)
	}
	return nil
}
