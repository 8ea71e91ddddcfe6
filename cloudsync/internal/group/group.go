package group

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
)

// Silence ends an attack: the next hit begins another one.
const Silence = time.Hour

// maxClients bounds the addresses that an attack names.
const maxClients = 20

// attacks is the record that hits are folded into. An attack's samples are references to hits: exchange, time and payload.
type attacks interface {
	// Around gives the last attack of the key that begins at t or before, and the first that begins after t; nil without.
	Around(k Key, t time.Time) (before, after *detectionv1.Attack, err error)
	// Save keeps an attack that is new (without an id yet, which it gets) or was changed.
	Save(k Key, a *detectionv1.Attack) error
	// Absorb makes the clients of one attack those of another, ends the first, and gives the number of both together.
	Absorb(k Key, into, from *detectionv1.Attack) (clients uint64, err error)
	// Client notes a client of an attack, and tells whether it is a new one.
	Client(a *detectionv1.Attack, address string) (bool, error)
}

// Add folds a hit that was not known into its attack; the hit may begin one, or close the silence between two. It gives
// the references that are samples no more, the hit's own among them if it did not become one.
func Add(s attacks, h *detectionv1.Hit) ([]*detectionv1.Hit, error) {
	k, t := KeyOf(h), h.GetObservedAt().AsTime()
	before, after, err := s.Around(k, t)
	if err != nil {
		return nil, fmt.Errorf("finding the attack of a hit: %w", err)
	}
	joinsBefore := before != nil && t.Sub(before.GetLastSeen().AsTime()) <= Silence
	joinsAfter := after != nil && after.GetFirstSeen().AsTime().Sub(t) <= Silence
	var a *detectionv1.Attack
	var out []*detectionv1.Hit
	switch {
	case joinsBefore && joinsAfter:
		a = before
		if out, err = merge(s, k, a, after); err != nil {
			return nil, err
		}
	case joinsBefore:
		a = before
	case joinsAfter:
		a = after
	default:
		a = &detectionv1.Attack{
			Type: k.Type, Point: k.Point, Target: k.Target(), FirstSeen: timestamppb.New(t), LastSeen: timestamppb.New(t),
		}
		// It needs its id before it has clients.
		if err := s.Save(k, a); err != nil {
			return nil, fmt.Errorf("beginning an attack: %w", err)
		}
	}
	a.HitCount++
	span(a, t, t)
	worsen(a, h.GetSeverity(), h.GetConfidence(), h.GetOutcome())
	if err := addClient(s, a, h); err != nil {
		return nil, err
	}
	out = append(out, sample(a, &detectionv1.Hit{ExchangeId: h.GetExchangeId(), ObservedAt: h.GetObservedAt(), PayloadHash: h.GetPayloadHash()})...)
	if err := s.Save(k, a); err != nil {
		return nil, fmt.Errorf("keeping an attack: %w", err)
	}
	return out, nil
}

// Report is what another report of a known hit, or a word about its outcome, says.
type Report struct {
	Severity   detectionv1.Severity
	Confidence detectionv1.Confidence
	Outcome    detectionv1.Outcome
	// Changed: the hit's own record changed, and so the attack's sample of it.
	Changed bool
}

// Again folds a report of a known hit into its attack, and tells whether the hit is one of its samples; known is the hit
// as it was first kept. An attack shows the worst that was ever reported of its hits. What is no news changes nothing, nor
// does what is said of a hit whose attack the journal has given up since.
func Again(s attacks, known *detectionv1.Hit, r Report) (sampled bool, err error) {
	k := KeyOf(known)
	a, _, err := s.Around(k, known.GetObservedAt().AsTime())
	if err != nil {
		return false, fmt.Errorf("finding the attack of a hit: %w", err)
	}
	if a == nil || known.GetObservedAt().AsTime().After(a.GetLastSeen().AsTime()) {
		return false, nil
	}
	if worse := worsen(a, r.Severity, r.Confidence, r.Outcome); worse || r.Changed {
		if err := s.Save(k, a); err != nil {
			return false, fmt.Errorf("keeping an attack: %w", err)
		}
	}
	return slices.ContainsFunc(a.GetSamples(), func(h *detectionv1.Hit) bool {
		return bytes.Equal(h.GetExchangeId(), known.GetExchangeId())
	}), nil
}

func merge(s attacks, k Key, into, from *detectionv1.Attack) ([]*detectionv1.Hit, error) {
	clients, err := s.Absorb(k, into, from)
	if err != nil {
		return nil, fmt.Errorf("joining two attacks: %w", err)
	}
	into.HitCount += from.GetHitCount()
	into.ClientCount = clients
	into.Clients = smallest(append(into.GetClients(), from.GetClients()...))
	span(into, from.GetFirstSeen().AsTime(), from.GetLastSeen().AsTime())
	worsen(into, from.GetSeverity(), from.GetConfidence(), from.GetOutcome())
	out := sample(into, from.GetSamples()...)
	from.HitCount, from.ClientCount, from.Clients, from.Samples, from.MergedInto = 0, 0, nil, nil, into.GetId()
	return out, nil
}

func span(a *detectionv1.Attack, from, to time.Time) {
	if from.Before(a.GetFirstSeen().AsTime()) {
		a.FirstSeen = timestamppb.New(from)
	}
	if to.After(a.GetLastSeen().AsTime()) {
		a.LastSeen = timestamppb.New(to)
	}
}

func worsen(a *detectionv1.Attack, severity detectionv1.Severity, confidence detectionv1.Confidence, outcome detectionv1.Outcome) bool {
	worse := severity > a.GetSeverity() || confidence > a.GetConfidence() || rank(outcome) > rank(a.GetOutcome())
	a.Severity = max(a.GetSeverity(), severity)
	a.Confidence = max(a.GetConfidence(), confidence)
	if rank(outcome) > rank(a.GetOutcome()) {
		a.Outcome = outcome
	}
	return worse
}

// rank orders outcomes by how bad they are for the owner.
func rank(o detectionv1.Outcome) int {
	return slices.Index([]detectionv1.Outcome{
		detectionv1.Outcome_OUTCOME_UNSPECIFIED, detectionv1.Outcome_OUTCOME_REJECTED_BY_PROXY, detectionv1.Outcome_OUTCOME_UNKNOWN,
		detectionv1.Outcome_OUTCOME_NO_ANSWER, detectionv1.Outcome_OUTCOME_APP_ERROR, detectionv1.Outcome_OUTCOME_REACHED_APP,
	}, o)
}

func addClient(s attacks, a *detectionv1.Attack, h *detectionv1.Hit) error {
	address := clip(h.GetRequest().GetClient().GetAddress(), maxName)
	if address == "" {
		peer, ok := netip.AddrFromSlice(h.GetRequest().GetPeer().GetIp())
		if !ok {
			return nil
		}
		address = peer.Unmap().String()
	}
	fresh, err := s.Client(a, address)
	if err != nil {
		return fmt.Errorf("noting a client: %w", err)
	}
	if fresh {
		a.ClientCount++
		a.Clients = smallest(append(a.GetClients(), address))
	}
	return nil
}

// smallest keeps those that come first in order: which ones does not depend on when they came.
func smallest(list []string) []string {
	slices.Sort(list)
	list = slices.Compact(list)
	return list[:min(len(list), maxClients)]
}

// before orders references by time, and equal times by exchange.
func before(a, b *detectionv1.Hit) int {
	return cmp.Or(a.GetObservedAt().AsTime().Compare(b.GetObservedAt().AsTime()), slices.Compare(a.GetExchangeId(), b.GetExchangeId()))
}
