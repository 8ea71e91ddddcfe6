package ingest

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

const (
	// ahead is how far in the future a corrected time may lie: the hello's own time on the wire.
	ahead = time.Second
	// behind is how old an exchange may be: an agent's buffer holds minutes.
	behind = 24 * time.Hour
	// slowHello is how long a hello may have been on its way.
	slowHello = time.Minute
)

// clock turns an agent's times into the aggregator's.
type clock struct {
	// at and mono are one moment: the aggregator's clock, and the agent's monotonic one.
	at   time.Time
	mono uint64
	// wall is how far the aggregator's clock is ahead of the agent's.
	wall time.Duration
}

func measure(now time.Time, hello *aggregatorv1.Hello) clock {
	return clock{at: now, mono: hello.GetMonoNs(), wall: now.Sub(hello.GetWall().AsTime())}
}

// watched turns a heartbeat's time into the aggregator's, never ahead of now. A heartbeat tells of something that was before
// it was sent: where it seems to lie ahead, the hello had been longer on its way, and the clock is set right by that.
func (c *clock) watched(mono uint64, now time.Time) (time.Time, bool) {
	if mono == 0 || c.mono == 0 {
		return time.Time{}, false
	}
	at := c.at.Add(time.Duration(int64(mono - c.mono)))
	early := at.Sub(now)
	switch {
	case early > slowHello || early < -behind:
		return time.Time{}, false
	case early > 0:
		c.at = c.at.Add(-early)
		c.wall -= early
		return now, true
	}
	return at, true
}

// local turns a time on the agent's wall clock into the aggregator's, not ahead of now; nil stays nil, and so becomes what
// is no time.
func (c *clock) local(t *timestamppb.Timestamp, now time.Time) *timestamppb.Timestamp {
	if t == nil || !t.IsValid() {
		return nil
	}
	at := t.AsTime().Add(c.wall)
	if at.After(now) {
		at = now
	}
	return timestamppb.New(at)
}

// report turns the times of an agent's report into the aggregator's, but for the start of its life, which names it.
func (c *clock) report(s *statusv1.PartStatus, now time.Time) {
	s.ReportedAt = c.local(s.GetReportedAt(), now)
	s.WatchedFrom = c.local(s.GetWatchedFrom(), now)
	for _, b := range s.GetBlindIntervals() {
		b.From, b.To = c.local(b.GetFrom(), now), c.local(b.GetTo(), now)
	}
}

// observed is when the request's first byte was there, by the aggregator's clock. The monotonic time is taken where
// there is one: it does not jump when somebody sets the agent's clock. What replays a recording keeps its own time.
// A time that cannot be becomes now, and false is returned.
func (c *clock) observed(x *trafficv1.Exchange, now time.Time) (time.Time, bool) {
	t := x.GetTimes()
	start := t.GetRequestStart()
	var at time.Time
	switch {
	case x.GetReplayed() && start.IsValid():
		return start.AsTime(), true
	case t.GetRequestStartMonoNs() != 0 && c.mono != 0:
		// The difference wraps as it should where the exchange is older than the stream.
		at = c.at.Add(time.Duration(int64(t.GetRequestStartMonoNs() - c.mono)))
	case start.IsValid():
		at = start.AsTime().Add(c.wall)
	default:
		return now, true
	}
	switch age := now.Sub(at); {
	case age < -ahead || age > behind:
		return now, false
	case age < 0:
		return now, true
	}
	return at, true
}

// expand gives an exchange the times that its agent told by their distance from the start on the monotonic clock.
func (c clock) expand(t *trafficv1.Times) {
	if t.GetRequestStart() == nil && t.GetRequestStartMonoNs() != 0 && c.mono != 0 {
		// The agent's own wall clock at that moment.
		start := c.at.Add(-c.wall).Add(time.Duration(int64(t.GetRequestStartMonoNs() - c.mono)))
		after := func(ns uint64) *timestamppb.Timestamp {
			if ns == 0 {
				return nil
			}
			return timestamppb.New(start.Add(time.Duration(ns)))
		}
		t.RequestStart, t.RequestEnd, t.ResponseStart = timestamppb.New(start), after(t.GetRequestTookNs()), after(t.GetResponseAfterNs())
	}
	t.RequestTookNs, t.ResponseAfterNs = 0, 0
}
