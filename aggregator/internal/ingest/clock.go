package ingest

import (
	"time"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

const (
	// ahead is how far in the future a corrected time may lie: the hello's own time on the wire.
	ahead = time.Second
	// behind is how old an exchange may be: an agent's buffer holds minutes.
	behind = 24 * time.Hour
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

// observed is when the request's first byte was there, by the aggregator's clock. The monotonic time is taken where
// there is one: it does not jump when somebody sets the agent's clock. What replays a recording keeps its own time.
// A time that cannot be becomes now, and false is returned.
func (c clock) observed(x *trafficv1.Exchange, now time.Time) (time.Time, bool) {
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
