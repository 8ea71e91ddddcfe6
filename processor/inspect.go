package processor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/losses"

	"github.com/sidelight/sidelight/processor/internal/report"
)

var errNotCompiled = errors.New("the rules are being compiled")

// idSize is the length of an exchange id.
const idSize = 16

// observations takes what apidiscovery shall hear, without waiting.
type observations interface {
	Push(*inventoryv1.Observation)
}

// facts takes what the owner of a client shall hear, without waiting.
type facts interface {
	Push(*detectionv1.Fact)
}

// handler answers Inspect.
type handler struct {
	processorv1.UnimplementedInspectServiceServer
	// inspector is swapped when a policy comes; a call uses the one that it began with.
	inspector atomic.Pointer[Inspector]
	journal   cloudsyncv1.JournalServiceClient
	gate      *report.Gate
	timeout   time.Duration
	// batchTime is how long one batch may take: a batch that never ends would be sent again for ever.
	batchTime time.Duration
	observer  observations
	facts     facts
	seen      *report.Seen
	counters  *report.Counters
	losses    *losses.Losses
}

func newHandler(journal grpc.ClientConnInterface, gate *report.Gate, timeout, batchTime time.Duration, o observations, f facts, c *report.Counters, l *losses.Losses) *handler {
	return &handler{
		journal: cloudsyncv1.NewJournalServiceClient(journal), gate: gate, timeout: timeout, batchTime: batchTime, observer: o, facts: f, seen: report.NewSeen(), counters: c, losses: l,
	}
}

// revision names one state of an exchange.
type revision struct {
	id     string
	number uint32
}

// judged is what one exchange of a batch came to.
type judged struct {
	summary     *processorv1.Summary
	hits        []*detectionv1.Hit
	outcome     *detectionv1.OutcomeUpdate
	observation *inventoryv1.Observation
	fact        *detectionv1.Fact
	// settle remembers it once the batch's hits are kept; nil: there is nothing to remember.
	settle func() report.News
	// inspected: not only remembered.
	inspected bool
	// twin is where the batch has the same revision first: here, or before.
	twin int
}

// Inspect judges a batch and answers when its hits are kept, or says of which they are not. Nothing is remembered, counted or
// observed of those: they are sent again, and must then be judged as if for the first time.
func (h *handler) Inspect(ctx context.Context, req *processorv1.InspectRequest) (*processorv1.InspectResponse, error) {
	list := req.GetExchanges()
	out := make([]judged, len(list))
	first := map[revision]int{}
	i := h.inspector.Load()
	deadline := time.Now().Add(h.batchTime)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for n, x := range list {
		key := revision{string(x.GetId()), x.GetRevision()}
		twin, again := first[key]
		if !again {
			first[key], twin = n, n
		}
		group.Go(func() error {
			if groupCtx.Err() != nil {
				return groupCtx.Err()
			}
			if time.Now().After(deadline) {
				out[n] = h.skip(i, x)
			} else {
				out[n] = h.judgeSafely(i, x, again)
			}
			out[n].twin = twin
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, status.Error(codes.Unavailable, "the caller went away before all was judged: send the batch again")
	}
	kept := h.commit(ctx, out)
	res := &processorv1.InspectResponse{Summaries: make([]*processorv1.Summary, len(out))}
	for n := range out {
		if !kept && out[out[n].twin].needsKeeping() {
			res.NotKept = append(res.NotKept, uint32(n))
			res.Summaries[n] = &processorv1.Summary{}
			continue
		}
		h.settle(out[n])
		res.Summaries[n] = out[n].summary
	}
	return res, nil
}

// skip answers for an exchange that the batch has no time left for.
func (h *handler) skip(i *Inspector, x *trafficv1.Exchange) judged {
	h.losses.Add("inspect", "overlimit_time", 1)
	s := i.brief(x)
	s.WhyIncomplete = "not inspected: overlimit: time of the batch"
	return judged{summary: s}
}

// judgeSafely keeps one hostile request from taking the process with it, again and again. What the panic says may hold bytes of
// the traffic, so only its kind is told.
func (h *handler) judgeSafely(i *Inspector, x *trafficv1.Exchange, again bool) (j judged) {
	defer func() {
		if p := recover(); p != nil {
			h.losses.Add("inspect", "panic", 1)
			s := summary(x, nil)
			s.WhyIncomplete = fmt.Sprintf("not inspected: the processor failed on it (%T)", p)
			j = judged{summary: s}
		}
	}()
	return h.judge(i, x, again)
}

// judge looks at one exchange; again: the batch holds this revision twice.
func (h *handler) judge(i *Inspector, x *trafficv1.Exchange, again bool) judged {
	if len(x.GetId()) != idSize || x.GetRequest() == nil {
		h.losses.Add("inspect", "malformed_exchange", 1)
		s := summary(x, nil)
		s.WhyIncomplete = "not inspected: exchange without id or request"
		return judged{summary: s}
	}
	past, dup := h.seen.Find(x.GetId(), x.GetRevision())
	if dup || again {
		h.counters.Duplicates.Add(1)
		s := h.recall(i, x, past)
		s.Duplicate = true
		return judged{summary: s}
	}
	if c := x.GetContentRevision(); c > 0 && c < x.GetRevision() {
		return h.outcome(i, x, past)
	}
	start := time.Now()
	v := i.Inspect(x)
	h.counters.Inspected(start)
	settle := func() report.News { return h.seen.Judged(v.Summary, v.session, v.Fact != nil) }
	return judged{summary: v.Summary, hits: v.Hits, observation: v.Observation, fact: v.Fact, settle: settle, inspected: true}
}

// recall says of an exchange what was found out before.
func (h *handler) recall(i *Inspector, x *trafficv1.Exchange, past report.Past) *processorv1.Summary {
	s := i.brief(x)
	s.Hits, s.Complete, s.WhyIncomplete = past.Hits, past.Complete, past.WhyIncomplete
	if !past.Judged {
		s.JudgedElsewhere = true
		s.WhyIncomplete = "judged in an earlier revision, by another replica or longer ago"
	}
	if s.GetRequest().GetTraceId() == "" {
		s.Request.TraceId = past.TraceID
	}
	return s
}

// outcome is all that is new in a revision whose request was judged before.
func (h *handler) outcome(i *Inspector, x *trafficv1.Exchange, past report.Past) judged {
	j := judged{summary: h.recall(i, x, past), fact: i.outcomeFact(x, past.Session, past.Hits)}
	j.settle = func() report.News { return h.seen.Passed(j.summary, j.fact != nil) }
	o := outcome(x)
	if o != detectionv1.Outcome_OUTCOME_UNSPECIFIED && (!past.Judged || len(past.Hits) > 0) {
		// Not known here: another replica may have found hits.
		j.outcome = &detectionv1.OutcomeUpdate{
			ExchangeId: x.GetId(), Revision: x.GetRevision(), Outcome: o, Status: x.GetResponse().GetStatus(),
			BodySize: x.GetRequest().GetBodySize(), ResponseSize: x.GetResponse().GetBodySize(),
		}
	}
	if !x.GetResumed() && x.GetResponse().GetStatus() != 0 {
		j.observation = i.outcomeObservation(x, len(past.Hits) > 0)
	}
	return j
}

// needsKeeping: the journal must have something of it before it counts as judged.
func (j judged) needsKeeping() bool { return len(j.hits) > 0 || j.outcome != nil }

// commit has the batch's hits kept, and tells whether they are; a batch without any costs no call. While the journal is known
// to be away nothing waits for it: the answer says what was not kept, and the rest of the batch goes on.
func (h *handler) commit(ctx context.Context, out []judged) bool {
	req := &cloudsyncv1.CommitRequest{}
	for _, j := range out {
		req.Hits = append(req.Hits, j.hits...)
		if j.outcome != nil {
			req.Outcomes = append(req.Outcomes, j.outcome)
		}
	}
	if len(req.GetHits()) == 0 && len(req.GetOutcomes()) == 0 {
		return true
	}
	if !h.gate.Open() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	if _, err := h.journal.Commit(ctx, req); err != nil {
		h.counters.CommitFailures.Add(1)
		h.gate.Failed(err)
		return false
	}
	h.counters.Outcomes.Add(int64(len(req.GetOutcomes())))
	for _, hit := range req.GetHits() {
		h.counters.Hit(hit.GetType())
	}
	return true
}

// settle remembers what was judged, and lets the inventory and the owner of the client know, once each.
func (h *handler) settle(j judged) {
	if j.settle == nil {
		return
	}
	news := j.settle()
	if !news.Fresh {
		return
	}
	if j.inspected && !j.summary.GetComplete() {
		h.counters.Incomplete.Add(1)
	}
	if j.observation != nil {
		h.observer.Push(j.observation)
	}
	if j.fact != nil && news.Answered {
		h.facts.Push(j.fact)
	}
}
