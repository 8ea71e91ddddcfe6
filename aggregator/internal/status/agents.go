package status

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/losses"
)

const (
	agentPart = "agent"
	// maxAgents bounds the memory of all agents' lives.
	maxAgents = 5000
	// maxIntervals bounds the blind intervals of one agent that were not passed on.
	maxIntervals = 1000
	// refresh keeps what is passed on of an agent less than 10 s old while its stream is open.
	refresh = 9 * time.Second
	// firstReport is how long an agent that comes new has to report before it is passed on without.
	firstReport = 3 * time.Second
	// keepEnded is how long the last report of an agent without a stream is kept, in case it comes back.
	keepEnded = 10 * time.Minute
)

// Life is one life of an agent: where it runs, and when it began by its own clock, unset where it does not say.
type Life struct {
	Node    string
	Seconds int64
	Nanos   int32
}

// LifeOf names the life that began then; a time that is none is not one.
func LifeOf(node string, startedAt *timestamppb.Timestamp) Life {
	if !startedAt.IsValid() {
		return Life{Node: node}
	}
	return Life{Node: node, Seconds: startedAt.GetSeconds(), Nanos: startedAt.GetNanos()}
}

func (l Life) startedAt() *timestamppb.Timestamp {
	if l.Seconds == 0 && l.Nanos == 0 {
		return nil
	}
	return &timestamppb.Timestamp{Seconds: l.Seconds, Nanos: l.Nanos}
}

// Agents knows of each life of an agent its newest report, how far it has watched and whether it is connected.
type Agents struct {
	cluster string
	losses  *losses.Losses

	mu    sync.Mutex
	lives map[Life]*presence
}

type presence struct {
	streams int
	version string
	// report is the newest, nil before the first.
	report *statusv1.PartStatus
	// untold are blind intervals that were not passed on: they are told once.
	untold []*statusv1.BlindInterval
	until  time.Time
	// news: there is something that cannot wait until the refresh.
	news    bool
	toldAt  time.Time
	endedAt time.Time
}

// NewAgents makes an empty store.
func NewAgents(cluster string, l *losses.Losses) *Agents {
	return &Agents{cluster: cluster, losses: l, lives: map[Life]*presence{}}
}

// Opened notes a stream of an agent.
func (a *Agents) Opened(life Life, version string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.lives[life]
	if p == nil {
		if len(a.lives) >= maxAgents && !a.makeRoom() {
			a.losses.Add("status", "too_many_agents", 1)
			return
		}
		p = &presence{toldAt: time.Now().Add(firstReport - refresh)}
		a.lives[life] = p
	}
	p.news = p.news || p.report != nil
	p.streams++
	p.version = version
}

// makeRoom forgets one life that has ended, all of it told.
func (a *Agents) makeRoom() bool {
	for life, p := range a.lives {
		if p.streams == 0 && !p.news {
			delete(a.lives, life)
			return true
		}
	}
	return false
}

// Watched notes up to when, by this part's clock, the agent's exchanges are acknowledged.
func (a *Agents) Watched(life Life, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.lives[life]; p != nil {
		p.until = until
		p.news = p.news || p.streams == 0
	}
}

// Closed notes that a stream has ended.
func (a *Agents) Closed(life Life) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.lives[life]
	if p == nil || p.streams == 0 {
		return
	}
	if p.streams--; p.streams == 0 {
		p.news, p.endedAt = true, time.Now()
	}
}

// Reported takes a report; an agent speaks for itself and its node only. It owns what it is given.
func (a *Agents) Reported(life Life, s *statusv1.PartStatus) {
	if s.GetPart() != agentPart {
		a.losses.Add("status", "foreign_part", 1)
		return
	}
	if s.GetInstance() != "" && s.GetInstance() != life.Node {
		a.losses.Add("status", "foreign_instance", 1)
		return
	}
	a.own(life, s)
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.lives[life]
	if p == nil {
		return
	}
	a.addUntold(p, s.GetBlindIntervals())
	s.BlindIntervals = nil
	p.report, p.news = s, true
}

// own sets what an agent does not decide, and leaves out what it says of other nodes.
func (a *Agents) own(life Life, s *statusv1.PartStatus) {
	s.Cluster, s.Instance = a.cluster, life.Node
	if startedAt := life.startedAt(); startedAt != nil {
		s.StartedAt = startedAt
	} else if !s.GetStartedAt().IsValid() {
		s.StartedAt = nil
	}
	s.WatchedUntil, s.Connected = nil, false
	foreign := 0
	s.Coverage = slices.DeleteFunc(s.GetCoverage(), func(c *statusv1.Coverage) bool {
		if node := c.GetWorkload().GetNode(); node != "" && node != life.Node {
			foreign++
			return true
		}
		if c.GetWorkload() != nil {
			c.Workload.Node, c.Workload.Cluster = life.Node, a.cluster
		}
		return false
	})
	s.BlindIntervals = slices.DeleteFunc(s.GetBlindIntervals(), func(b *statusv1.BlindInterval) bool {
		node := cmp.Or(b.GetNode(), b.GetWorkload().GetNode(), life.Node)
		if node != life.Node || b.GetWorkload().GetNode() != "" && b.GetWorkload().GetNode() != node {
			foreign++
			return true
		}
		b.Node = node
		if b.GetWorkload() != nil {
			b.Workload.Node, b.Workload.Cluster = life.Node, a.cluster
		}
		return false
	})
	a.losses.Add("status", "foreign_node", int64(foreign))
}

func (a *Agents) addUntold(p *presence, list []*statusv1.BlindInterval) {
	p.untold = append(p.untold, list...)
	if over := len(p.untold) - maxIntervals; over > 0 {
		a.losses.Add("status", "blind_intervals", int64(over))
		p.untold = p.untold[over:]
	}
}

// told is what is passed on of one life, at one time.
type told struct {
	life Life
	part *statusv1.PartStatus
}

// take gives what is to be passed on now, older lives of a node first, so that a receiver ends with the newest.
func (a *Agents) take(now time.Time) []told {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []told
	for life, p := range a.lives {
		switch {
		case p.news || p.streams > 0 && now.Sub(p.toldAt) >= refresh:
			list = append(list, told{life, a.compose(life, p)})
			p.news, p.toldAt, p.untold = false, now, nil
		case p.streams == 0 && now.Sub(p.endedAt) >= keepEnded:
			delete(a.lives, life)
		}
	}
	slices.SortFunc(list, func(x, y told) int {
		return cmp.Or(strings.Compare(x.life.Node, y.life.Node), cmp.Compare(x.life.Seconds, y.life.Seconds), cmp.Compare(x.life.Nanos, y.life.Nanos))
	})
	return list
}

func (a *Agents) compose(life Life, p *presence) *statusv1.PartStatus {
	var s *statusv1.PartStatus
	if p.report != nil {
		s = proto.CloneOf(p.report)
	} else {
		s = &statusv1.PartStatus{
			Part: agentPart, Instance: life.Node, Version: p.version, Cluster: a.cluster, StartedAt: life.startedAt(),
			ReportedAt: timestamppb.Now(), NotReadyBecause: "it has not reported yet",
		}
	}
	s.BlindIntervals, s.Connected = p.untold, p.streams > 0
	if !p.until.IsZero() {
		s.WatchedUntil = timestamppb.New(p.until)
	}
	return s
}

// putBack lets what could not be passed on be told again, with what came since.
func (a *Agents) putBack(list []told) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range list {
		p := a.lives[t.life]
		if p == nil {
			a.losses.Add("status", "blind_intervals", int64(len(t.part.GetBlindIntervals())))
			continue
		}
		since := p.untold
		p.untold, p.news = t.part.GetBlindIntervals(), true
		a.addUntold(p, since)
	}
}
