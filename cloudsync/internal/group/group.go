// Package group makes attacks of hits: hits of equal type, point and target belong together until an hour of silence. It is
// pure: what it is given decides what it returns.
package group

import (
	"bytes"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
)

const (
	// Silence ends an attack.
	Silence = time.Hour
	// samplesPerPayload of equal payload are kept per hour, samples in all.
	samplesPerPayload = 5
	samples           = 50
	// clients listed by address; the count goes on.
	clients = 100
)

// Key is what the hits of an attack have in common.
func Key(h *detectionv1.Hit) string {
	t := Target(h)
	parts := []string{h.GetType(), h.GetPoint(), t.GetService(), t.GetHost(), t.GetMethod(), t.GetPath()}
	var b []byte
	for _, p := range parts {
		// Lengths keep a separator inside a value from making two keys one.
		b = append(b, byte(len(p)), byte(len(p)>>8))
		b = append(b, p...)
	}
	return string(b)
}

// Target names what a hit was aimed at.
func Target(h *detectionv1.Hit) *detectionv1.Target {
	r := h.GetRequest()
	return &detectionv1.Target{Service: r.GetWorkload().GetService(), Host: r.GetHost(), Method: r.GetMethod(), Path: Shape(r.GetPath())}
}

// Holds tells whether a hit at this time still belongs to the attack.
func Holds(a *detectionv1.Attack, at time.Time) bool {
	return !at.Before(a.GetFirstSeen().AsTime().Add(-Silence)) && !at.After(a.GetLastSeen().AsTime().Add(Silence))
}

// New begins an attack with its first hit.
func New(id string, h *detectionv1.Hit) *detectionv1.Attack {
	a := &detectionv1.Attack{Id: id, Cluster: h.GetCluster(), Type: h.GetType(), Point: h.GetPoint(), Target: Target(h)}
	Add(a, h)
	return a
}

// Add counts a hit that the attack does not have yet.
func Add(a *detectionv1.Attack, h *detectionv1.Hit) {
	a.HitCount++
	a.Severity = max(a.GetSeverity(), h.GetSeverity())
	a.Confidence = max(a.GetConfidence(), h.GetConfidence())
	a.Outcome = worse(a.GetOutcome(), h.GetOutcome())
	at := h.GetObservedAt().AsTime()
	if a.FirstSeen == nil || at.Before(a.GetFirstSeen().AsTime()) {
		a.FirstSeen = timestamppb.New(at)
	}
	if a.LastSeen == nil || at.After(a.GetLastSeen().AsTime()) {
		a.LastSeen = timestamppb.New(at)
	}
	if client := h.GetRequest().GetClient().GetAddress(); client != "" && !slices.Contains(a.Clients, client) {
		a.ClientCount++
		if len(a.Clients) < clients {
			a.Clients = append(a.Clients, client)
		}
	}
	if wanted(a, h) {
		a.Samples = append(a.Samples, proto.CloneOf(h))
	}
}

// Replace puts a newer revision of a hit in the place of the older one.
func Replace(a *detectionv1.Attack, h *detectionv1.Hit) {
	a.Severity = max(a.GetSeverity(), h.GetSeverity())
	a.Confidence = max(a.GetConfidence(), h.GetConfidence())
	a.Outcome = worse(a.GetOutcome(), h.GetOutcome())
	for i, s := range a.GetSamples() {
		if bytes.Equal(s.GetExchangeId(), h.GetExchangeId()) {
			a.Samples[i] = proto.CloneOf(h)
		}
	}
}

// wanted tells whether the hit is worth keeping whole: the first of equal payload in each hour.
func wanted(a *detectionv1.Attack, h *detectionv1.Hit) bool {
	if len(a.GetSamples()) >= samples {
		return false
	}
	equal, hour := 0, h.GetObservedAt().AsTime().Truncate(time.Hour)
	for _, s := range a.GetSamples() {
		if bytes.Equal(s.GetPayloadHash(), h.GetPayloadHash()) && s.GetObservedAt().AsTime().Truncate(time.Hour).Equal(hour) {
			equal++
		}
	}
	return equal < samplesPerPayload
}

// badness orders outcomes by what they mean for the owner.
var badness = map[detectionv1.Outcome]int{
	detectionv1.Outcome_OUTCOME_UNSPECIFIED: 0, detectionv1.Outcome_OUTCOME_UNKNOWN: 1, detectionv1.Outcome_OUTCOME_REJECTED_BY_PROXY: 2,
	detectionv1.Outcome_OUTCOME_NO_ANSWER: 3, detectionv1.Outcome_OUTCOME_APP_ERROR: 4, detectionv1.Outcome_OUTCOME_REACHED_APP: 5,
}

func worse(a, b detectionv1.Outcome) detectionv1.Outcome {
	if badness[b] > badness[a] {
		return b
	}
	return a
}
