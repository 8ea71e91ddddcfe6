package behaviour

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor/internal/verdict"
)

// look tells whether the client is guessing paths, and not told of already. All of its requests count, those that carry another
// attack too, so that the sentence in the evidence is true as it stands.
func (r ForcedBrowsing) look(w *window, f *detectionv1.Fact) *detectionv1.Hit {
	at := f.GetObservedAt().AsTime()
	if f.GetStatus() != 404 && f.GetStatus() != 403 || at.Before(w.quiet) || len(w.misses) < r.Paths {
		return nil
	}
	t := w.tally()
	if t.paths < r.Paths || float64(t.missed+t.forbidden) < r.Share*float64(t.requests) {
		return nil
	}
	w.quiet = at.Add(r.Every.Duration())
	return r.hit(f, t, at)
}

func (r ForcedBrowsing) hit(f *detectionv1.Fact, t tally, at time.Time) *detectionv1.Hit {
	text := []byte(r.sentence(t))
	severity, references := verdict.About(verdict.Dirbust)
	outcome := detectionv1.Outcome_OUTCOME_REACHED_APP
	if t.missed == 0 {
		// A proxy may have said 403 as well as the application.
		outcome = detectionv1.Outcome_OUTCOME_UNKNOWN
	}
	key := fmt.Appendf(nil, "%s\x00%x\x00%s\x00%s\x00", verdict.Dirbust, f.GetClient(), f.GetCluster(), f.GetService())
	payload := sha256.Sum256(key)
	// The start of the time in which one hit is all that is told: a process that begins anew, or another that comes to own the
	// client, tells of it under the same id.
	id := sha256.Sum256(binary.BigEndian.AppendUint64(key, uint64(at.Truncate(r.Every.Duration()).Unix())))
	return &detectionv1.Hit{
		ExchangeId: id[:idSize], Revision: 1, Cluster: f.GetCluster(), Type: verdict.Dirbust, Point: "client",
		Severity: severity, Confidence: detectionv1.Confidence_CONFIDENCE_HIGH, References: slices.Clone(references), Outcome: outcome,
		Evidence: &detectionv1.Evidence{Text: text, Length: uint64(len(text)), WholeValue: true},
		Request: &detectionv1.RequestSummary{
			Host: f.GetHost(), Status: f.GetStatus(), Client: &trafficv1.Client{Address: f.GetClientAddress()},
			Workload: &trafficv1.Workload{Cluster: f.GetCluster(), Service: f.GetService()},
		},
		PayloadHash: payload[:idSize], ObservedAt: f.GetObservedAt(),
	}
}

// sentence says what was counted, in words that a person can check.
func (r ForcedBrowsing) sentence(t tally) string {
	answer := "404"
	switch {
	case t.missed == 0:
		answer = "403"
	case t.forbidden > 0:
		answer = "404 or 403"
	}
	paths := fmt.Sprint(t.paths)
	if t.paths >= 2*r.Paths {
		paths += " or more"
	}
	return fmt.Sprintf("%d of %d requests in %d s were answered %s, for %s different paths",
		t.missed+t.forbidden, t.requests, int(r.Window.Duration().Seconds()), answer, paths)
}
