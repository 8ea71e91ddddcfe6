package ship

import "time"

// beatsPerIdle is how many heartbeats a busy agent sends in the time of one of an idle agent.
const beatsPerIdle = 10

// pulse is the rhythm of heartbeats: quick from when something is sent until nothing is acknowledged any more. An idle agent is
// not woken for those that it would not send.
type pulse struct {
	every time.Duration
	timer *time.Timer
	quick bool
	// quiet counts times of a quick pulse at which nothing had been acknowledged.
	quiet int
}

func newPulse(every time.Duration) *pulse {
	return &pulse{every: every, timer: time.NewTimer(every / beatsPerIdle), quick: true}
}

// quicken tells that something is sent.
func (p *pulse) quicken() {
	if !p.quick {
		p.quick, p.quiet = true, 0
		p.timer.Reset(p.every / beatsPerIdle)
	}
}

// beat tells whether a heartbeat is due, now that the timer has run out. News: something was acknowledged since the last time.
func (p *pulse) beat(news bool) (due bool) {
	switch {
	case news:
		p.quick, p.quiet, due = true, 0, true
	case p.quick:
		p.quiet++
		due = p.quiet >= beatsPerIdle
		p.quick = !due
	default:
		due = true
	}
	if p.quick {
		p.timer.Reset(p.every / beatsPerIdle)
	} else {
		p.timer.Reset(p.every)
	}
	return due
}
