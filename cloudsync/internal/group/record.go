package group

import (
	"cmp"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Record is what is kept of one hit: its newest revision, and the newest word about its outcome. It is written as a
// CommitRequest of one hit and at most one outcome.
type Record = cloudsyncv1.CommitRequest

// NewRecord begins with the first report of a hit.
func NewRecord(h *detectionv1.Hit) *Record {
	r := &Record{Hits: []*detectionv1.Hit{h}}
	ownOutcome(r, h)
	return r
}

// Revise takes another report of the same hit, and says whether it changed the record: an older or equal revision does
// not, except for an outcome that was not known.
func Revise(r *Record, h *detectionv1.Hit) bool {
	old := r.GetHits()[0]
	changed := ownOutcome(r, h)
	if h.GetRevision() <= old.GetRevision() {
		return changed
	}
	// Its attack was found by these; a hit does not move.
	if h.ObservedAt = old.GetObservedAt(); KeyOf(h) != KeyOf(old) {
		masked := h.GetRequest().GetMaskedRequest()
		h.Request = old.GetRequest()
		if h.GetRequest() != nil && len(masked) > 0 {
			h.Request.MaskedRequest = masked
		}
	}
	h.PayloadHash = old.GetPayloadHash()
	r.Hits[0] = h
	return true
}

// SetOutcome takes what became known of the exchange, and says whether that is news.
func SetOutcome(r *Record, u *detectionv1.OutcomeUpdate) bool {
	if u.GetOutcome() == detectionv1.Outcome_OUTCOME_UNSPECIFIED {
		return false
	}
	if len(r.GetOutcomes()) > 0 {
		old := r.GetOutcomes()[0]
		if u.GetRevision() < old.GetRevision() || u.GetRevision() == old.GetRevision() && rank(u.GetOutcome()) <= rank(old.GetOutcome()) {
			return false
		}
	}
	r.Outcomes = []*detectionv1.OutcomeUpdate{u}
	return true
}

// ownOutcome treats the outcome that a hit brings like an update.
func ownOutcome(r *Record, h *detectionv1.Hit) bool {
	return SetOutcome(r, &detectionv1.OutcomeUpdate{
		ExchangeId: h.GetExchangeId(), Revision: h.GetRevision(), Outcome: h.GetOutcome(), Status: h.GetRequest().GetStatus(),
		BodySize: h.GetRequest().GetBodySize(), ResponseSize: h.GetRequest().GetResponseSize(),
	})
}

// Hit is the record as a person sees it: the hit with the newest outcome.
func Hit(r *Record) *detectionv1.Hit {
	h := proto.CloneOf(r.GetHits()[0])
	if len(r.GetOutcomes()) > 0 {
		u := r.GetOutcomes()[0]
		h.Outcome = u.GetOutcome()
		if r := h.GetRequest(); r != nil {
			// What a later word leaves out is as it was.
			r.Status = cmp.Or(u.GetStatus(), r.GetStatus())
			r.BodySize, r.ResponseSize = cmp.Or(u.GetBodySize(), r.GetBodySize()), cmp.Or(u.GetResponseSize(), r.GetResponseSize())
		}
	}
	return h
}

// Settle gives a hit without a usable time the present one, so that it has a place.
func Settle(h *detectionv1.Hit, now *timestamppb.Timestamp) {
	if !h.GetObservedAt().IsValid() {
		h.ObservedAt = now
	}
}

// Strip leaves what is needed to know the hit, its attack and its outcome when it comes again: all that is kept of a hit that
// is no sample. Exchange, type and point are in the key that it is kept under.
func Strip(r *Record) {
	old := r.GetHits()[0]
	h := &detectionv1.Hit{Revision: old.GetRevision(), ObservedAt: old.GetObservedAt()}
	if q := old.GetRequest(); q != nil {
		h.Request = &detectionv1.RequestSummary{Method: q.GetMethod(), Host: q.GetHost(), Path: q.GetPath()}
		if service := q.GetWorkload().GetService(); service != "" {
			h.Request.Workload = &trafficv1.Workload{Service: service}
		}
	}
	r.Hits[0] = h
	if len(r.GetOutcomes()) > 0 {
		// An update is shared by all hits of its exchange: it is copied, not cut.
		u := r.GetOutcomes()[0]
		r.Outcomes[0] = &detectionv1.OutcomeUpdate{Revision: u.GetRevision(), Outcome: u.GetOutcome(), Status: u.GetStatus()}
	}
}
