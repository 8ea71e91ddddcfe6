package ship

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/losses"
)

// A full batch waits for nothing, and what is left over waits no longer than it may.
func TestFullBatchesGoAtOnce(t *testing.T) {
	t.Parallel()
	f := &far{}
	s, _, stop := start(t, f, func(c *Config) { c.Linger, c.BatchItems = time.Hour, 10 })
	for i := range 25 {
		s.takeMessage(quick(fmt.Sprint(i), 10), shop())
	}
	f.await(t, 20)
	require.Len(t, f.batches, 2)
	stop()
	require.Len(t, f.seen, 25)
}

// In a flood that never ends heartbeats still come, the stream is renewed, and the agent stops.
func TestFloodLeavesTurns(t *testing.T) {
	t.Parallel()
	f := &far{}
	s, _, stop := start(t, f, func(c *Config) {
		c.BufferBytes, c.BatchItems, c.HeartbeatEvery, c.Renew = 256<<20, 2, 10*time.Millisecond, 100*time.Millisecond
	})
	quit, over := make(chan struct{}), make(chan struct{})
	var under sync.WaitGroup
	under.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			default:
				s.takeMessage(quick(fmt.Sprint(i), 10), shop())
			}
		}
	})
	// The other end tells of each batch.
	under.Go(func() {
		for {
			select {
			case <-over:
				return
			case <-f.told:
			}
		}
	})
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.hellos >= 2 && len(f.marks) >= 10
	}, 20*time.Second, time.Millisecond)
	close(quit)
	stop()
	close(over)
	under.Wait()
}

// endless brings a full batch for each that is sent.
type endless struct {
	mirrorStream
	shipper *Shipper
	sent    int
}

func (e *endless) SendMsg(any) error {
	if e.sent++; e.sent > 5 {
		return errors.New("nothing else had its turn")
	}
	e.shipper.takeMessage(quick(fmt.Sprint(e.sent), 10), shop())
	return nil
}

func TestOneFullBatchAtATime(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.BatchItems = 1
	s := New(cfg, Deps{Losses: losses.NewLosses(nil, "agent")})
	stream := &endless{shipper: s}
	s.takeMessage(quick("first", 10), shop())
	require.NoError(t, (&session{Shipper: s, stream: stream}).sendFull())
	require.Equal(t, 1, stream.sent)
	require.Len(t, s.wake, 1, "it comes back for the next")
}

// While nothing is acknowledged, an agent sends a tenth of the heartbeats of a busy one.
func TestPulse(t *testing.T) {
	t.Parallel()
	p := newPulse(time.Hour)
	defer p.timer.Stop()
	count := func(n int, news bool) (due int) {
		for range n {
			if p.beat(news) {
				due++
			}
		}
		return due
	}
	require.Equal(t, 5, count(5, true))
	require.Equal(t, 1, count(beatsPerIdle, false), "it is not quiet yet")
	require.False(t, p.quick)
	require.Equal(t, 3, count(3, false), "its timer has slowed down")
	p.quicken()
	require.Equal(t, 0, count(1, false))
	require.Equal(t, 1, count(1, true))
	require.True(t, p.quick)
}

// What an aggregator says of batches that it was never sent, or says twice, does no harm to what is sent.
func TestAcknowledgedBeforeItIsSentAgain(t *testing.T) {
	t.Parallel()
	b := newBuffer(1<<20, losses.NewLosses(nil, "agent"))
	s := &Shipper{buffer: b}
	for i := range 100 {
		b.addMessage(quick(fmt.Sprint(i), 5000), shop())
	}
	sent := b.cut(100, 1<<20)
	require.GreaterOrEqual(t, cap(sent.frame.bytes), pooledFrame)
	require.False(t, b.acknowledge(7, 0))
	require.True(t, b.acknowledge(sent.sequence, 0))
	require.False(t, b.acknowledge(sent.sequence, 0))
	require.Len(t, b.frames.free, 1)
	// A session that has taken it to be sent again has no stream to ask for.
	require.NoError(t, (&session{Shipper: s}).sendBatch("again", sent))
}

// What could not be sent because too much was under way goes when that is acknowledged, and so does what comes later.
func TestStuckUntilAcknowledged(t *testing.T) {
	t.Parallel()
	f := &far{hold: make(chan struct{})}
	s, _, stop := start(t, f, func(c *Config) { c.BufferBytes, c.BatchItems, c.Linger = 60_000, 2, time.Millisecond })
	for i := range 30 {
		s.takeMessage(quick(fmt.Sprint(i), 1000), shop())
	}
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.stuck
	}, 20*time.Second, time.Millisecond)
	close(f.hold)
	f.await(t, 30)
	s.takeMessage(quick("later", 10), shop())
	f.await(t, 31)
	stop()
}

// An item that takes the memory of another one counts with all of it.
func TestRoomIsCounted(t *testing.T) {
	t.Parallel()
	b := newBuffer(1<<20, losses.NewLosses(nil, "agent"))
	b.addMessage(quick("large", 500), shop())
	b.acknowledge(b.cut(1, 1000).sequence, 0)
	require.Positive(t, b.spares.bytes)
	w := shop()
	b.addMessage(quick("small", 490), w)
	it := b.account(w).queue[0]
	require.Zero(t, b.spares.bytes, "the memory is used again")
	require.Greater(t, cap(it.wire), len(it.wire))
	require.Equal(t, cap(it.wire)+itemBytes, b.bytes)
}
