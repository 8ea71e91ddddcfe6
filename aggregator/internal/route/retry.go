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
	// fine is how long ago something was judged at most for the processor to count as fine with others.
	fine = time.Second
)

// suspect is a group of exchanges with which a call failed in a way that may lie in them. It is divided until the ones
// are found, so that a request that breaks the processor, or cannot be committed, holds up nothing but itself.
type suspect struct {
	items []Item
	// fresh: it was never called before.
	fresh bool
	// judged is the router's counter when the group was made: when it has grown, the processor is fine with others.
	judged int64
	// level counts divisions in a row while nothing was judged.
	level int
	// alone counts failures of a group of one; aloneSince is the counter at the first of them.
	alone      int
	aloneSince int64
	// scout: it goes for all that are held.
	scout bool
	due   time.Time
}

// mayLieIn tells whether a failure may lie in what was sent. All other failures are the processor's own state, or the way
// to it: hits that cannot be kept are no failure, the answer names them.
func mayLieIn(code codes.Code) bool {
	switch code {
	case codes.Internal, codes.InvalidArgument, codes.Unknown, codes.OutOfRange, codes.DataLoss:
		return true
	default:
		return false
	}
}

func (r *Router) failed(s suspect, err error) {
	now, judged := time.Now(), r.Judged.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	others := judged > s.judged || now.Sub(r.lastJudged) < fine
	// When nothing at all is judged, few groups are probes enough.
	divide := mayLieIn(status.Code(err)) && (others || len(r.suspects) < maxProbes)
	if s.fresh && !others || !divide {
		r.stumble(now, err)
	}
	switch {
	case s.scout:
		r.held.add(s.items, true, now)
	case !divide:
		// Back to the front, to be put into calls anew.
		r.fresh.unshift(s.items)
	case len(s.items) > 1:
		r.divide(s, now, others)
	default:
		r.retryAlone(s, now, judged, err)
	}
	// Those who wait must learn of the new times.
	signal(r.wakeWorker)
	signal(r.wakeProber)
}

// divide makes two groups.
func (r *Router) divide(s suspect, now time.Time, others bool) {
	next := suspect{judged: r.Judged.Load(), due: now.Add(pause(0) / 4)}
	if !others {
		next.level = s.level + 1
		next.due = now.Add(pause(s.level))
	}
	for half := range slices.Chunk(s.items, (len(s.items)+1)/2) {
		group := next
		group.items = slices.Clone(half)
		r.suspects = append(r.suspects, group)
	}
}

// retryAlone tries one exchange again, and refuses it when it fails on while others are judged.
func (r *Router) retryAlone(s suspect, now time.Time, judged int64, err error) {
	if s.fresh = false; s.alone == 0 {
		s.aloneSince = judged
	}
	if s.alone++; s.alone >= patience && judged > s.aloneSince {
		r.refuse(s, err)
		return
	}
	s.due, s.judged = now.Add(pause(s.alone)), judged
	r.suspects = append(r.suspects, s)
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

// succeeded notes that the processor answers; left are exchanges that it could not have kept.
func (r *Router) succeeded(s suspect, left []Item) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.attempt > 0 {
		r.deps.Log.Info("the processor answers again")
	}
	r.attempt, r.resumes = 0, time.Time{}
	if len(left) < len(s.items) {
		r.lastJudged = now
	}
	switch {
	case len(left) > 0:
		r.held.add(left, s.scout, now)
	case s.scout:
		r.fresh.unshift(r.held.free())
	}
	signal(r.wakeWorker)
	signal(r.wakeProber)
}

// nextSuspect takes the first group whose time has come, or a scout, or says when there will be one.
func (r *Router) nextSuspect(now time.Time) (suspect, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := time.Duration(0)
	for i, s := range r.suspects {
		left := s.due.Sub(now)
		if left <= 0 {
			r.suspects = slices.Delete(r.suspects, i, i+1)
			if len(r.suspects) > 0 {
				signal(r.wakeProber)
			}
			return s, 0
		}
		if wait == 0 || left < wait {
			wait = left
		}
	}
	if r.held.busy || len(r.held.items) == 0 {
		return suspect{}, wait
	}
	if left := r.held.due.Sub(now); left > 0 {
		if wait == 0 || left < wait {
			wait = left
		}
		return suspect{}, wait
	}
	return r.held.take(r.Judged.Load()), 0
}

// pause doubles with each attempt, and is spread so that replicas do not knock together.
func pause(attempt int) time.Duration {
	p := lastPause
	if attempt < 7 {
		p = min(firstPause<<attempt, lastPause)
	}
	return p/2 + rand.N(p/2)
}
