package blind

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// disk is a store whose notes outlive the tracker.
type disk struct {
	mu    sync.Mutex
	notes map[string][]byte
	full  bool
}

func (d *disk) Notes() (map[string][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.notes), nil
}

func (d *disk) PutNotes(_ context.Context, changes map[string][]byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return errors.New("no space left on device")
	}
	for name, value := range changes {
		if value == nil {
			delete(d.notes, name)
			continue
		}
		d.notes[name] = value
	}
	return nil
}

// world is a cluster on a clock of its own.
type world struct {
	t    *testing.T
	disk *disk
	zero time.Time
	tr   *Tracker
	stop func()
}

// in runs a story in a bubble.
func in(t *testing.T, story func(w *world)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, disk: &disk{notes: map[string][]byte{}}, zero: time.Now()}
		w.up()
		story(w)
		w.stop()
	})
}

func (w *world) up() {
	w.tr = New(Config{Uploads: true}, Deps{Store: w.disk, Log: testkit.Quiet(), Losses: losses.NewLosses(nil, "cloudsync")})
	require.NoError(w.t, w.tr.Load())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.tr.Run(ctx) }()
	w.stop = func() { cancel(); require.NoError(w.t, <-done) }
}

func (w *world) restart() { w.stop(); w.up() }

// at sleeps until so many seconds after the story's begin, on the bubble's clock.
func (w *world) at(second int) {
	<-time.After(time.Until(w.zero.Add(time.Duration(second) * time.Second)))
	synctest.Wait()
}

func (w *world) time(second int) *timestamppb.Timestamp {
	if second < 0 {
		return nil
	}
	return timestamppb.New(w.zero.Add(time.Duration(second) * time.Second))
}

// hear says of n1's life that began at started: it watched between from and until; -1 = not known.
func (w *world) hear(started, from, until int, connected bool) {
	w.tr.Hear([]*statusv1.PartStatus{{
		Part: "agent", Instance: "n1", StartedAt: w.time(started), WatchedFrom: w.time(from), WatchedUntil: w.time(until), Connected: connected,
	}})
}

// known counts agents.
func (w *world) known() int {
	w.tr.mu.Lock()
	defer w.tr.mu.Unlock()
	return len(w.tr.agents)
}

// keepHearing has the life of n1 report from..to every 10 s.
func (w *world) keepHearing(started, from, to int) {
	for now := from; now <= to; now += 10 {
		w.at(now)
		w.hear(started, started, now, true)
	}
}

func (w *world) second(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return fmt.Sprint(int(t.AsTime().Sub(w.zero) / time.Second))
}

// want compares with "from-to reason", newest first.
func (w *world) want(list ...string) {
	w.t.Helper()
	got := []string{}
	for _, b := range w.tr.Recent() {
		require.Equal(w.t, "n1", b.GetNode())
		require.Len(w.t, b.GetId(), 32)
		got = append(got, fmt.Sprintf("%s-%s %s", w.second(b.GetFrom()), w.second(b.GetTo()), b.GetReason()))
	}
	if list == nil {
		list = []string{}
	}
	require.Equal(w.t, list, got)
}

func TestAnAgentThatDiesAndComesBack(t *testing.T) {
	in(t, func(w *world) {
		w.keepHearing(0, 0, 50)
		w.at(64)
		w.want()
		w.at(67)
		w.want("50- " + silent)
		id := w.tr.Recent()[0].GetId()
		// A late word from an aggregator that it had left: it watched a little longer.
		w.hear(0, 0, 53, false)
		w.want("53- " + silent)
		w.at(80)
		w.hear(78, -1, -1, true)
		w.want("53- " + restarted)
		w.at(81)
		w.hear(78, 80, 81, true)
		w.want("53-80 " + restarted)
		w.hear(0, 0, 56, false)
		w.want("56-80 " + restarted)
		w.hear(0, 0, 52, false)
		w.want("56-80 " + restarted)
		require.Equal(t, id, w.tr.Recent()[0].GetId(), "one interval, told again and again")
		require.EqualValues(t, 1, w.tr.Derived.Load())
	})
}

func TestAnAgentThatRestartsAtOnce(t *testing.T) {
	in(t, func(w *world) {
		w.keepHearing(0, 0, 50)
		w.at(55)
		w.hear(52, 54, 55, true)
		w.want("50-54 " + restarted)
		w.at(60)
		w.hear(57, 58, 60, true)
		w.want("55-58 "+restarted, "50-54 "+restarted)
		// Of a life between them nobody had told: it watched from 56 to 57 at the most.
		w.hear(56, 56, 57, false)
		w.want("57-58 "+restarted, "55-56 "+restarted, "50-54 "+restarted)
		// A life that never watched is no end of an interval.
		w.at(62)
		w.hear(61, -1, -1, true)
		w.want("60- "+restarted, "57-58 "+restarted, "55-56 "+restarted, "50-54 "+restarted)
		w.at(70)
		w.hear(65, 66, 70, true)
		w.want("60-66 "+restarted, "57-58 "+restarted, "55-56 "+restarted, "50-54 "+restarted)
	})
}

func TestAnAgentThatWasOnlyNotHeard(t *testing.T) {
	in(t, func(w *world) {
		w.keepHearing(0, 0, 50)
		w.at(70)
		w.want("50- " + silent)
		w.at(72)
		// Connected, and nothing acknowledged yet.
		w.hear(0, 0, 50, true)
		w.want("50- " + silent)
		w.at(74)
		w.hear(0, 0, 73, true)
		w.want("50-50 " + withdrawn)
		w.at(120)
		w.want("73- " + silent)
	})
}

func TestAnAgentWithoutAStream(t *testing.T) {
	in(t, func(w *world) {
		w.keepHearing(0, 0, 50)
		for now := 52; now <= 66; now += 2 {
			w.at(now)
			w.hear(0, 0, 51, false)
		}
		w.want()
		w.at(68)
		w.hear(0, 0, 51, false)
		w.want("51- " + silent)
	})
}

// The aggregator that an agent left goes on saying that it is not there.
func TestAnAgentThatMoves(t *testing.T) {
	in(t, func(w *world) {
		w.keepHearing(0, 0, 50)
		for now := 55; now <= 205; now += 10 {
			w.at(now)
			w.hear(0, 0, 52, false)
			w.at(now + 5)
			w.hear(0, 0, now+5, true)
		}
		w.want()
	})
}

func TestOwnOutagesInventNothingAndHideNothing(t *testing.T) {
	in(t, func(w *world) {
		w.keepHearing(0, 0, 50)
		w.stop()
		w.at(500)
		w.up()
		w.at(512)
		w.want()
		w.hear(0, 0, 511, true)
		w.at(526)
		w.want()
		w.hear(0, 0, 520, true)
		// Both restart.
		w.restart()
		w.at(530)
		w.hear(528, 529, 530, true)
		w.want("520-529 " + restarted)
		// One who stays away is called silent, 15 s after the start and not before.
		w.at(540)
		w.restart()
		w.at(554)
		w.want("520-529 " + restarted)
		w.at(557)
		w.want("530- "+silent, "520-529 "+restarted)
		w.restart()
		w.want("530- "+silent, "520-529 "+restarted)
		w.at(560)
		w.hear(528, 529, 559, true)
		w.want("530-530 "+withdrawn, "520-529 "+restarted)
	})
}

// A process that was stopped and goes on has heard nobody, and nobody is to blame but itself.
func TestAPauseOfOurOwn(t *testing.T) {
	in(t, func(w *world) {
		w.keepHearing(0, 0, 50)
		w.tr.mu.Lock()
		w.tr.looked = w.tr.looked.Add(-30 * time.Second)
		w.tr.agents["n1"].heard = w.tr.agents["n1"].heard.Add(-30 * time.Second)
		w.tr.mu.Unlock()
		w.at(64)
		w.want()
		w.at(67)
		w.want("50- " + silent)
	})
}

func TestUntilTheConsoleHasIt(t *testing.T) {
	in(t, func(w *world) {
		w.keepHearing(0, 0, 50)
		w.at(67)
		<-w.tr.Changed()
		told := w.tr.Untold(10)
		require.Len(t, told, 1)
		require.Nil(t, told[0].GetTo())
		w.hear(60, 65, 67, true)
		w.tr.Told(told)
		require.Len(t, w.tr.Untold(10), 1, "it was told again meanwhile")
		w.restart()
		told = w.tr.Untold(10)
		require.Equal(t, "65", w.second(told[0].GetTo()))
		<-w.tr.Changed()
		w.tr.Told(told)
		require.Empty(t, w.tr.Untold(10))
		w.restart()
		require.Empty(t, w.tr.Untold(10))
		w.tr.TellAgain()
		require.Len(t, w.tr.Untold(10), 1, "another console was told nothing")
		w.tr.Told(w.tr.Untold(10))
		for now := 70; now < 67+26*3600; now += 10 {
			w.hear(60, 65, now, true)
			w.at(now)
		}
		w.want()
		w.tr.mu.Lock()
		left := len(w.tr.held)
		w.tr.mu.Unlock()
		require.Zero(t, left)
	})
}

func TestAFullDiskLosesNothing(t *testing.T) {
	in(t, func(w *world) {
		w.disk.full = true
		w.keepHearing(0, 0, 50)
		w.at(67)
		w.disk.mu.Lock()
		w.disk.full = false
		w.disk.mu.Unlock()
		w.at(69)
		w.restart()
		w.want("50- " + silent)
	})
}

func TestBounds(t *testing.T) {
	in(t, func(w *world) {
		for i := range maxIntervals + 50 {
			w.hear(2*i, 2*i, 2*i+1, true)
		}
		require.Len(t, w.tr.Untold(2*maxIntervals), maxIntervals)
		require.EqualValues(t, 49, w.tr.deps.Losses.Snapshot()[0].Count)
		w.tr.mu.Lock()
		require.LessOrEqual(t, len(w.tr.agents["n1"].Lives), maxLives)
		w.tr.mu.Unlock()
		w.hear(0, 0, 1, true)
		w.tr.Hear([]*statusv1.PartStatus{{Part: "agent"}, {Part: "agent", Instance: "n2"}, {Part: "processor", Instance: "p", StartedAt: w.time(1)}})
		require.Equal(t, 1, w.known())
	})
}

func TestOneThatStaysAwayIsGivenUp(t *testing.T) {
	in(t, func(w *world) {
		long := w.zero.Add(-forget)
		w.tr.Hear([]*statusv1.PartStatus{{
			Part: "agent", Instance: "n1", StartedAt: timestamppb.New(long), WatchedFrom: timestamppb.New(long), Connected: true,
		}})
		w.at(14)
		require.Equal(t, 1, w.known())
		w.at(17)
		require.Zero(t, w.known())
		require.Len(t, w.tr.Untold(10), 1)
		require.Equal(t, givenUp, w.tr.Untold(10)[0].GetReason())
		require.NotNil(t, w.tr.Untold(10)[0].GetTo())
		w.restart()
		require.Zero(t, w.known())
	})
}

func FuzzNotes(f *testing.F) {
	f.Add("agent/n1", []byte(`{"lives":[{"started":1,"from":2,"until":3}],"silent":true}`))
	f.Add("agent/n1", []byte(`{"lives":[{"started":2},{"started":1}]}`))
	f.Add("blind/x", writeHeld(&held{interval: &statusv1.BlindInterval{Id: "x"}, untold: true}))
	f.Add("else", []byte{})
	f.Fuzz(func(_ *testing.T, name string, value []byte) {
		d := &disk{notes: map[string][]byte{name: value}}
		tr := New(Config{}, Deps{Store: d, Log: testkit.Quiet(), Losses: losses.NewLosses(nil, "cloudsync")})
		if tr.Load() == nil {
			tr.look()
			tr.Recent()
			tr.Hear([]*statusv1.PartStatus{{Part: "agent", Instance: "n1", StartedAt: timestamppb.Now(), Connected: true}})
		}
	})
}
