package parts

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// heavy is a request that is dear to judge: so a few hundred a second are more than the processors can do.
func heavy(id string) string {
	fields := map[string]string{}
	for i := range 24 {
		fields[fmt.Sprintf("field_%d", i)] = strings.Repeat("word of a benign text ", 3)
	}
	body, _ := json.Marshal(fields)
	return fmt.Sprintf("POST /fixed/heavy HTTP/1.1\r\nHost: shop.example.org\r\nUser-Agent: Mozilla/5.0\r\nContent-Type: application/json\r\ntraceparent: 00-%s-%s-01\r\nContent-Length: %d\r\n\r\n%s",
		id, id[:16], len(body), body)
}

// burst sends heavy requests at a rate for a time, and gives their nonces.
func (f *fleet) burst(perSecond float64, lasting time.Duration) map[string]bool {
	f.t.Helper()
	const connections = 8
	sent := map[string]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(f.t.Context(), lasting)
	defer cancel()
	interval := time.Duration(float64(time.Second) * connections / perSecond)
	for range connections {
		wg.Go(func() {
			client := &wire{f: f}
			defer client.close()
			for next := time.Now(); ctx.Err() == nil; next = next.Add(interval) {
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Until(next)):
				}
				id := nonce()
				if client.send(heavy(id)) == nil {
					mu.Lock()
					sent[id] = true
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return sent
}

// books are what the agent says of its workloads, added up.
type books struct{ made, acknowledged, lost, bytesLost uint64 }

// books reads the agent's own page: the status lane brings the same every 10 s.
func (f *fleet) books() books {
	f.t.Helper()
	var b books
	for _, c := range f.statusOf(f.agent).GetCoverage() {
		b.made += c.GetExchanges()
		b.acknowledged += c.GetExchangesAcknowledged()
		b.lost += c.GetExchangesLost()
		b.bytesLost += c.GetBytesLost()
	}
	return b
}

func (b books) since(old books) books {
	return books{b.made - old.made, b.acknowledged - old.acknowledged, b.lost - old.lost, b.bytesLost - old.bytesLost}
}

// sent = handled + counted lost, under half of what the processors can do, at it, and at three times of it.
func TestTheSumCloses(t *testing.T) {
	// Little buffers overflow soon. The tail is what tells of each request here: its connection is not renewed meanwhile.
	f := newFleet(t, options{age: "1h", config: map[string]string{
		"agent": "capture: {buffer: 1MiB}\n", "aggregator": "max_pending_bytes: 1MiB\n",
	}})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w := f.watch(ctx, "")
	capacity := f.capacity(w)
	t.Logf("capacity %.0f requests/s", capacity)
	for _, times := range []float64{0.5, 1, 3} {
		t.Run(fmt.Sprintf("%g times of it", times), func(t *testing.T) {
			before := f.books()
			sent := f.burst(capacity*times, lasts(10*time.Second, time.Minute))
			nginx := f.accessNonces()
			for id := range sent {
				require.True(t, nginx[id], "nginx knows of every request that was answered")
			}
			var handled, whole int
			var b books
			until(t, 90*time.Second, "the sum closes", func() error {
				handled, whole = w.handled(sent)
				b = f.books().since(before)
				if unseen := len(sent) - handled - int(b.lost); unseen == 0 {
					return nil
				}
				return fmt.Errorf("sent %d, handled %d, counted lost %d (the agent made %d, %d were acknowledged, %d bytes were not seen)",
					len(sent), handled, b.lost, b.made, b.acknowledged, b.bytesLost)
			})
			require.Zero(t, w.dropped, "the test's own reader was too slow")
			t.Logf("sent %d at %.0f/s: handled %d (%d of them inspected whole), counted lost %d, bytes not seen %d",
				len(sent), capacity*times, handled, whole, b.lost, b.bytesLost)
			if times < 1 {
				// Of bodies some may go even here: these buffers are little, and a machine may stand still for a second.
				require.Zero(t, b.lost)
			}
			if times > 1 {
				require.Less(t, whole, len(sent), "three times of what it can do must not fit")
			}
		})
	}
}

// handled counts the requests that were shown, and those that were inspected whole.
func (w *tail) handled(sent map[string]bool) (shown, whole int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range sent {
		if s := w.seen[id]; s != nil {
			shown++
			if w.complete[id] {
				whole++
			}
		}
	}
	return shown, whole
}

// capacity is how many heavy requests a second the processors judge while the rest of the load runs beside them: more than
// fits in the time is sent, and it is what comes out until all of it has.
func (f *fleet) capacity(w *tail) float64 {
	f.t.Helper()
	start, before := time.Now(), w.count()
	f.burst(400, 5*time.Second)
	last, at := -1, time.Now()
	until(f.t, 60*time.Second, "the buffers are empty", func() error {
		now := w.count()
		if now != last {
			last, at = now, time.Now()
		}
		if time.Since(at) < 2*time.Second {
			return errNotYet
		}
		return nil
	})
	return float64(last-before) / at.Sub(start).Seconds()
}

// A killed agent leaves a blind interval that covers exactly what was not seen.
func TestAKilledAgentLeavesABlindInterval(t *testing.T) {
	f := newFleet(t, options{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w := f.watch(ctx, "")
	l := f.newLoad(0)
	loading, enough := context.WithCancel(ctx)
	defer enough()
	loaded := make(chan struct{})
	go func() { defer close(loaded); l.run(loading, 200, 4, 0) }()
	<-time.After(3 * time.Second)
	f.agent.kill()
	<-time.After(2 * time.Second)
	f.agent.start()
	<-time.After(3 * time.Second)
	enough()
	<-loaded

	var from, to time.Time
	told := until(t, 20*time.Second, "the interval is told", func() error {
		_, intervals := f.statuses()
		for _, i := range intervals {
			if i.GetNode() == node && i.GetTo() != nil {
				from, to = i.GetFrom().AsTime(), i.GetTo().AsTime()
				return nil
			}
		}
		return fmt.Errorf("%v", intervals)
	})
	unseen := map[string]bool{}
	until(t, 10*time.Second, "the tail is quiet", func() error {
		before := len(unseen)
		clear(unseen)
		for id := range l.sent {
			if at, _ := w.of(id); at.IsZero() {
				unseen[id] = true
			}
		}
		if before == 0 || before != len(unseen) {
			<-time.After(500 * time.Millisecond)
			return fmt.Errorf("%d are not seen", len(unseen))
		}
		return nil
	})
	require.NotEmpty(t, unseen)
	// The generator's clock and the parts' are one; a request is under way for a moment after it was sent. The interval begins where
	// the agent's last word was, which comes ten times a second, or once a second when the machine is busy with other things.
	const way, word = 150 * time.Millisecond, 1200 * time.Millisecond
	early := 0
	for id, at := range l.sent {
		switch {
		case unseen[id]:
			require.False(t, at.Before(from.Add(-way)) || at.After(to.Add(way)), "sent at %s, not seen, and not in %s – %s", at, from, to)
		case at.After(from.Add(word)) && at.Before(to.Add(-way)):
			t.Errorf("sent at %s, and seen in a time that is said to be blind: %s – %s", at, from, to)
		case at.After(from.Add(way)) && at.Before(from.Add(word)):
			early++
		}
	}
	t.Logf("%d of %d requests were not seen; blind for %.2f s, in the beginning of which %d were seen, told %.1f s after", len(unseen), len(l.sent), to.Sub(from).Seconds(), early, told.Seconds())
}
