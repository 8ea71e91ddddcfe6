package report

import (
	"slices"
	"sync"
	"time"

	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
)

const (
	// Remembered is how long a revision is known at least.
	Remembered = 60 * time.Second
	// mostRemembered bounds the memory of one generation; beyond it the older generation goes early, and a resend may then
	// be judged again, which the journal's upsert bears.
	mostRemembered = 100_000
	mostRevisions  = 32
)

// Seen remembers judged exchanges for a minute, so that a resend counts once and an outcome finds its hits.
type Seen struct {
	mu         sync.Mutex
	young, old map[[16]byte]Past
	turned     time.Time
	now        func() time.Time
}

// Past is what is remembered of an exchange.
type Past struct {
	// Judged: its request was inspected here. Else only an outcome passed by, and another replica knows the rest.
	Judged        bool
	Hits          []*processorv1.SummaryHit
	Complete      bool
	WhyIncomplete string
	TraceID       string
	// Session is the keyed hash of the session, for an answer that comes without the request's headers.
	Session []byte

	// told: its status was known, and a fact made of it.
	told      bool
	revisions []uint32
}

// News is what settling a revision shows to be new.
type News struct {
	// Fresh: this revision had not been settled before.
	Fresh bool
	// Answered: this is the first revision whose fact was made.
	Answered bool
}

// NewSeen remembers nothing yet.
func NewSeen() *Seen {
	return &Seen{young: map[[16]byte]Past{}, old: map[[16]byte]Past{}, turned: time.Now(), now: time.Now}
}

// Find gives what is known of an exchange, and whether this revision of it has been here.
func (s *Seen) Find(id []byte, revision uint32) (p Past, duplicate bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p = s.find(id)
	return p, slices.Contains(p.revisions, revision)
}

// Judged remembers a revision whose request was inspected. Hits that an earlier revision made stay: they were kept.
// fact: the exchange has something to say of its client.
func (s *Seen) Judged(m *processorv1.Summary, session []byte, fact bool) News {
	return s.add(m, fact, func(p *Past) {
		p.Judged, p.Complete, p.WhyIncomplete = true, m.GetComplete(), m.GetWhyIncomplete()
		p.TraceID, p.Session = m.GetRequest().GetTraceId(), session
		if len(m.GetHits()) > 0 {
			p.Hits = m.GetHits()
		}
	})
}

// Passed remembers a revision that brought no more than an outcome.
func (s *Seen) Passed(m *processorv1.Summary, fact bool) News { return s.add(m, fact, func(*Past) {}) }

func (s *Seen) add(m *processorv1.Summary, fact bool, change func(*Past)) News {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if now.Sub(s.turned) >= Remembered || len(s.young) >= mostRemembered {
		s.old, s.young, s.turned = s.young, map[[16]byte]Past{}, now
	}
	p := s.find(m.GetExchangeId())
	// Two calls may have judged the same revision at the same time: the second finds it settled.
	if slices.Contains(p.revisions, m.GetRevision()) {
		return News{}
	}
	news := News{Fresh: true, Answered: fact && !p.told}
	p.told = p.told || fact
	// A stream without end brings revisions without end; a resend is of one of the last.
	p.revisions = append(slices.Clone(p.revisions[max(0, len(p.revisions)-mostRevisions+1):]), m.GetRevision())
	change(&p)
	s.young[[16]byte(m.GetExchangeId())] = p
	return news
}

func (s *Seen) find(id []byte) Past {
	if len(id) != 16 {
		return Past{}
	}
	if p, ok := s.young[[16]byte(id)]; ok {
		return p
	}
	return s.old[[16]byte(id)]
}
