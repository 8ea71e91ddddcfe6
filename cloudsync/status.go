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
	p.PolicySequence, p.PolicyRefusedBecause = s.policies.State()
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
	return map[string]any{"console": s.link(), "parts": s.statuses.All(), "blind_intervals": s.agents.Recent()}
}

// counter is one number that the part says of itself.
type counter struct {
	name, help string
	value      func() int64
	// gauge: it goes up and down.
	gauge bool
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
	count := func(name, help string, value func() int64) counter { return counter{name, help, value, false} }
	gauge := func(name, help string, value func() int64) counter { return counter{name, help, value, true} }
	return []counter{
		count("hits", "Hits that were new.", ofJournal(func(j *journal.Journal) int64 { return j.Hits.Load() })),
		count("hits_resent", "Reports of hits that were known.", ofJournal(func(j *journal.Journal) int64 { return j.Resent.Load() })),
		count("hits_forgotten", "Hits of no sample that would not be recognised any more if they came again.", ofJournal(func(j *journal.Journal) int64 { return j.Forgotten.Load() })),
		count("outcomes", "Outcomes filled in after their hits.", ofJournal(func(j *journal.Journal) int64 { return j.Outcomes.Load() })),
		count("endpoints", "Changed endpoints taken.", ofJournal(func(j *journal.Journal) int64 { return j.Endpoints.Load() })),
		count("flushes", "Transactions of the journal, each one fsync for many commits.", ofJournal(func(j *journal.Journal) int64 { return j.Flushes.Load() })),
		gauge("journal_used_bytes", "Pages of the journal that are in use; max_size bounds them.", ofJournal(func(j *journal.Journal) int64 { return j.Used.Load() })),
		gauge("upload_waiting", "Changes of attacks that the console does not have yet, at most.", ofJournal((*journal.Journal).Waiting)),
		count("uploaded", "Attacks and endpoints that the console took.", ofUpload(func(u *upload.Uploader) int64 { return u.Records.Load() })),
		count("upload_calls", "Uploads that the console took.", ofUpload(func(u *upload.Uploader) int64 { return u.Calls.Load() })),
		count("blind_intervals_uploaded", "Blind intervals that the console took.", ofUpload(func(u *upload.Uploader) int64 { return u.Intervals.Load() })),
		gauge("revoked", "1 while the console refuses this installation.", ofUpload(func(u *upload.Uploader) int64 { return u.Revoked.Load() })),
		count("blind_intervals", "Blind intervals that were derived from agents' lives.", s.agents.Derived.Load),
		gauge("blind_intervals_open", "Blind intervals that last.", s.agents.Open.Load),
		gauge("agents_silent", "Agents that are not heard of.", s.agents.Silent.Load),
		gauge("policy_sequence", "Sequence of the policy in force, 0 without.", func() int64 { sequence, _ := s.policies.State(); return int64(sequence) }),
		count("policy_refused", "Policies that were refused.", s.policies.Refusals.Load),
		gauge("policy_watchers", "Parts that listen for policy.", s.policy.Watchers.Load),
	}
}

// export shows counters as sidelight_cloudsync_<name>_total, and gauges without the end; the only errors are malformed names,
// and these are well formed.
func export(m metric.Meter, list []counter) {
	for _, c := range list {
		observe := metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error { o.Observe(c.value()); return nil })
		if c.gauge {
			_, _ = m.Int64ObservableGauge("sidelight_cloudsync_"+c.name, metric.WithDescription(c.help), observe)
			continue
		}
		_, _ = m.Int64ObservableCounter("sidelight_cloudsync_"+c.name+"_total", metric.WithDescription(c.help), observe)
	}
}
