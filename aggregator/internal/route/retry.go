package route

import (
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidelight/sidelight/internal/logkey"
)

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
	// patience is how often an exchange may fail alone, while others are judged, before it is refused.
	patience = 5
	// maxProbes bounds the groups that are tried by themselves while nothing is judged.
	maxProbes = 16
	// suspectWorkers leaves workers to the others, whatever a suspect does to the processor.
	suspectWorkers = workers / 2
)

// suspect is a group of exchanges with which a call failed in a way that may lie in them. It is halved until the one is
// found, so that a request that breaks the processor holds up nothing but itself.
type suspect struct {
	items []Item
	// fresh: it was never called before.
	fresh bool
	// judged is the router's counter before the first call: when it has grown, the processor is fine with others.
	judged int64
	// alone counts failures of a group of one; aloneSince is the counter at the first of them.
	alone      int
	aloneSince int64
	due        time.Time
}

// blame tells whether an answer may lie in what was sent. All other failures are the processor's own state, or the way to it.
func blame(code codes.Code) (halve, refuse bool) {
	switch code {
	case codes.Internal, codes.InvalidArgument, codes.Unknown, codes.OutOfRange, codes.DataLoss:
		return true, true
	case codes.DeadlineExceeded, codes.ResourceExhausted:
		// Less may do; but slowness and load refuse nothing.
		return true, false
	default:
		return false, false
	}
}

func (r *Router) failed(s suspect, err error) {
	halve, refuse := blame(status.Code(err))
	now, judged := time.Now(), r.Judged.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	// When nothing at all is judged, few groups are probes enough.
	mayLieInIt := halve && (judged > s.judged || len(r.suspects) < maxProbes)
	if s.fresh || !mayLieInIt {
		r.stumble(now, err)
	}
	switch {
	case !mayLieInIt:
		// Back to the front, to be put into calls anew.
		r.fresh = append(slices.Clone(s.items), r.fresh...)
	case len(s.items) > 1:
		half, due := len(s.items)/2, now.Add(pause(0))
		r.suspects = append(r.suspects,
			suspect{items: slices.Clone(s.items[:half]), judged: s.judged, due: due},
			suspect{items: slices.Clone(s.items[half:]), judged: s.judged, due: due})
	default:
		if s.fresh = false; s.alone == 0 {
			s.aloneSince = judged
		}
		if s.alone++; refuse && s.alone >= patience && judged > s.aloneSince {
			r.refuse(s, err)
			break
		}
		s.due = now.Add(pause(s.alone))
		r.suspects = append(r.suspects, s)
	}
	// A worker that waits must learn of the new times.
	r.signal()
}

// stumble makes fresh calls wait, longer each time. Calls that failed together are one failure.
func (r *Router) stumble(now time.Time, err error) {
	if now.Before(r.resumes) {
		return
	}
	if r.attempt == 0 {
		r.deps.Log.Warn("the processor does not answer; exchanges wait", logkey.Error, status.Code(err).String())
	}
	r.resumes = now.Add(pause(r.attempt))
	r.attempt++
}

func (r *Router) refuse(s suspect, err error) {
	r.deps.Losses.Add("route", "processor_refuses", int64(len(s.items)))
	r.deps.Log.Warn("the processor fails with this exchange again and again, and not with others: it is given up",
		logkey.Error, status.Code(err).String(), logkey.Attempt, s.alone)
	for _, item := range s.items {
		item.Done(true)
	}
}

func (r *Router) succeeded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.attempt > 0 {
		r.deps.Log.Info("the processor answers again")
	}
	r.attempt, r.resumes = 0, time.Time{}
	r.signal()
}

// dueSuspect takes the first group whose time has come, or says when one will.
func (r *Router) dueSuspect(now time.Time) (suspect, time.Duration) {
	wait := time.Duration(0)
	if r.probing >= suspectWorkers {
		return suspect{}, 0
	}
	for i, s := range r.suspects {
		left := s.due.Sub(now)
		if left <= 0 {
			r.suspects = slices.Delete(r.suspects, i, i+1)
			r.probing++
			if len(r.suspects) > 0 || len(r.fresh) > 0 {
				r.signal()
			}
			return s, 0
		}
		if wait == 0 || left < wait {
			wait = left
		}
	}
	return suspect{}, wait
}

// pause doubles with each attempt, and is spread so that replicas do not knock together.
func pause(attempt int) time.Duration {
	p := lastPause
	if attempt < 7 {
		p = min(firstPause<<attempt, lastPause)
	}
	return p/2 + rand.N(p/2)
}
