package parts

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lasts gives the length of a fault: seconds in every run, and as the promise says with -long.
func lasts(short, full time.Duration) time.Duration {
	if *long {
		return full
	}
	return short
}

// fault is something that goes wrong under load. It returns when it is over.
type fault struct {
	name string
	do   func(*fleet)
}

func faults() []fault {
	return []fault{
		{"cloudsync is frozen", func(f *fleet) {
			f.cloudsync.freeze()
			<-time.After(lasts(8*time.Second, 30*time.Second))
			f.cloudsync.thaw()
		}},
		{"a processor is killed between verdict and commit", func(f *fleet) {
			f.cloudsync.freeze()
			<-time.After(time.Second) // what is judged now waits for its commit
			f.processor[0].kill()
			f.cloudsync.thaw()
			f.processor[0].start()
		}},
		{"an aggregator is killed", func(f *fleet) {
			f.aggregators[0].kill()
			<-time.After(time.Second)
			f.aggregators[0].start()
		}},
		{"the other aggregator is killed", func(f *fleet) {
			f.aggregators[1].kill()
			<-time.After(time.Second)
			f.aggregators[1].start()
		}},
		{"cloudsync is killed", func(f *fleet) {
			f.cloudsync.kill()
			<-time.After(time.Second)
			f.cloudsync.start()
		}},
		{"Postgres is stopped", func(f *fleet) {
			f.postgres.fast()
			<-time.After(lasts(5*time.Second, 2*time.Minute))
			f.postgres.start()
		}},
		{"agent and aggregators are cut apart", func(f *fleet) {
			f.apart(f.agent, f.aggregators...)
		}},
		{"aggregators and processors are cut apart", func(f *fleet) {
			for _, a := range f.aggregators {
				for _, p := range f.processor {
					cut(f.t, a.host, p.host)
				}
			}
			<-time.After(lasts(3*time.Second, 10*time.Second))
			for _, a := range f.aggregators {
				for _, p := range f.processor {
					heal(f.t, a.host, p.host)
				}
			}
		}},
		{"processors and cloudsync are cut apart", func(f *fleet) { f.apart(f.cloudsync, f.processor...) }},
		{"processors and apidiscovery are cut apart", func(f *fleet) { f.apart(f.apidiscovery, f.processor...) }},
		{"cloudsync and the console are cut apart", func(f *fleet) { f.apart(f.cloudsync, f.console) }},
		{"the console is killed", func(f *fleet) { f.console.kill(); f.console.start() }},
	}
}

// apart cuts one from several for a while.
func (f *fleet) apart(one *process, others ...*process) {
	for _, o := range others {
		cut(f.t, one.host, o.host)
	}
	<-time.After(lasts(3*time.Second, 10*time.Second))
	for _, o := range others {
		heal(f.t, one.host, o.host)
	}
}

// Whatever breaks, the journal holds each attack of the generator's own list, and none twice.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	f := newFleet(t, options{})
	for _, fault := range faults() {
		t.Run(fault.name, func(t *testing.T) {
			l := f.newLoad(4)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			loaded := make(chan struct{})
			go func() { defer close(loaded); l.run(ctx, 100, 4, 0) }()
			<-time.After(time.Second)
			fault.do(f)
			over := time.Now()
			<-time.After(time.Second)
			stop()
			<-loaded
			require.Zero(t, l.failed, "nginx did not answer: the fault reached the mirrored")
			l.settle(t, 60*time.Second)
			t.Logf("%d requests, %d attacks, all in the journal %.1f s after the fault was over", len(l.sent), len(l.attacks), time.Since(over).Seconds())
		})
	}
	for instance, p := range first(f.statuses()) {
		for _, loss := range p.GetLosses() {
			t.Logf("%s lost %d: %s, %s", instance, loss.GetCount(), loss.GetPlace(), loss.GetReason())
		}
	}
}

func first[A, B any](a A, _ B) A { return a }

// Benign exchanges are judged and shown while those with hits wait for a journal that is away.
func TestBenignExchangesAreNotHeldUp(t *testing.T) {
	f := newFleet(t, options{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w := f.watch(ctx, "")
	f.cloudsync.freeze()
	defer f.cloudsync.thaw()
	l := f.newLoad(10)
	loading, enough := context.WithTimeout(ctx, 20*time.Second)
	defer enough()
	l.run(loading, 100, 4, 1000)
	until(t, 10*time.Second, "benign exchanges are shown", func() error {
		missing := 0
		for id := range l.sent {
			if at, _ := w.of(id); at.IsZero() && !l.attacks[id] {
				missing++
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d are missing", missing, len(l.sent)-len(l.attacks))
		}
		return nil
	})
	for id := range l.attacks {
		at, _ := w.of(id)
		require.True(t, at.IsZero(), "an attack was shown as judged before it was kept")
	}
	f.cloudsync.thaw()
	l.settle(t, 30*time.Second)
}

// What is sent again after a cut, or to another aggregator, is counted once in the inventory too.
func TestResendsCountOnceInTheInventory(t *testing.T) {
	f := newFleet(t, options{})
	console := f.signIn()
	count := func() (n uint64) {
		endpoints, err := console.ListEndpoints(t.Context())
		require.NoError(t, err)
		for _, e := range endpoints {
			if e.GetPathTemplate() == "/fixed/page" {
				n += e.GetRequestCount()
			}
		}
		return n
	}
	// The first of a path are counted when they make it an endpoint.
	first := f.newLoad(0)
	first.run(t.Context(), 100, 2, 50)
	var before uint64
	until(t, 20*time.Second, "the endpoint is there", func() error {
		if before = count(); before < 50 {
			return fmt.Errorf("%d", before)
		}
		return nil
	})
	l := f.newLoad(0)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	loaded := make(chan struct{})
	go func() { defer close(loaded); l.run(ctx, 100, 4, 0) }()
	for _, a := range f.aggregators {
		<-time.After(time.Second)
		a.kill()
		a.start()
	}
	f.apart(f.agent, f.aggregators...)
	stop()
	<-loaded
	var resent uint64
	until(t, 30*time.Second, "each is counted", func() error {
		resent = 0
		for _, p := range f.processor {
			for _, c := range f.statusOf(p).GetCounters() {
				if c.GetName() == "duplicates" {
					resent += uint64(c.GetValue())
				}
			}
		}
		switch n := count() - before; {
		case n < uint64(len(l.sent)):
			return fmt.Errorf("%d of %d", n, len(l.sent))
		case n > uint64(len(l.sent)):
			t.Fatalf("%d requests were counted %d times", len(l.sent), n)
		}
		return nil
	})
	t.Logf("%d requests, each counted once; %d came again to the replica that knew them", len(l.sent), resent)
}
