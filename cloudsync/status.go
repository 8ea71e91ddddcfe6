package cloudsync

import (
	"context"

	"go.opentelemetry.io/otel/metric"
	"google.golang.org/protobuf/types/known/timestamppb"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/cloudsync/internal/journal"
	"github.com/sidelight/sidelight/cloudsync/internal/upload"
)

// now is this part's own report. A link to the console that does not work is told beside being ready: hits are kept.
func (s *Service) now() *statusv1.PartStatus {
	p := &statusv1.PartStatus{
		Part: s.self.GetPart(), Instance: s.self.GetInstance(), Version: s.self.GetVersion(), Cluster: s.self.GetCluster(),
		StartedAt: s.self.GetStartedAt(), ReportedAt: timestamppb.Now(), Ready: true,
	}
	if err := s.Ready(); err != nil {
		p.Ready, p.NotReadyBecause = false, err.Error()
	} else if link := s.link(); link != "" && link != upload.Good {
		p.NotReadyBecause = "console: " + link
	}
	for _, c := range s.counters() {
		p.Counters = append(p.Counters, &statusv1.Counter{Name: c.name, Value: c.value()})
	}
	for _, l := range s.losses.Snapshot() {
		p.Losses = append(p.Losses, &statusv1.Loss{Place: l.Place, Reason: l.Reason, Count: l.Count})
	}
	return p
}

// link says how the link to the console is, "" without one.
func (s *Service) link() string {
	if u := s.uploader.Load(); u != nil {
		return u.State()
	}
	return ""
}

// statusPage is what an operator reads: the link, and the newest report of every part.
func (s *Service) statusPage() any {
	return map[string]any{"console": s.link(), "parts": s.statuses.All()}
}

// counter is one number that the part says of itself.
type counter struct {
	name, help string
	value      func() int64
}

func (s *Service) counters() []counter {
	ofJournal := func(read func(*journal.Journal) int64) func() int64 {
		return func() int64 {
			if j := s.journal.Load(); j != nil {
				return read(j)
			}
			return 0
		}
	}
	ofUpload := func(read func(*upload.Uploader) int64) func() int64 {
		return func() int64 {
			if u := s.uploader.Load(); u != nil {
				return read(u)
			}
			return 0
		}
	}
	return []counter{
		{"hits", "Hits that were new.", ofJournal(func(j *journal.Journal) int64 { return j.Hits.Load() })},
		{"hits_resent", "Reports of hits that were known.", ofJournal(func(j *journal.Journal) int64 { return j.Resent.Load() })},
		{"outcomes", "Outcomes filled in after their hits.", ofJournal(func(j *journal.Journal) int64 { return j.Outcomes.Load() })},
		{"endpoints", "Changed endpoints taken.", ofJournal(func(j *journal.Journal) int64 { return j.Endpoints.Load() })},
		{"flushes", "Transactions of the journal, each one fsync for many commits.", ofJournal(func(j *journal.Journal) int64 { return j.Flushes.Load() })},
		{"uploaded", "Attacks and endpoints that the console took.", ofUpload(func(u *upload.Uploader) int64 { return u.Records.Load() })},
		{"revoked", "1 while the console refuses this installation.", ofUpload(func(u *upload.Uploader) int64 { return u.Revoked.Load() })},
	}
}

// export shows them as sidelight_cloudsync_<name>_total; the only errors are malformed names, and these are well formed.
func export(m metric.Meter, list []counter) {
	for _, c := range list {
		observe := metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error { o.Observe(c.value()); return nil })
		if c.name == "revoked" {
			_, _ = m.Int64ObservableGauge("sidelight_cloudsync_"+c.name, metric.WithDescription(c.help), observe)
			continue
		}
		_, _ = m.Int64ObservableCounter("sidelight_cloudsync_"+c.name+"_total", metric.WithDescription(c.help), observe)
	}
}
