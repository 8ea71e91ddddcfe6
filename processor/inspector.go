// Package processor judges mirrored requests: it decodes them, runs the rules, decides what the matches mean, masks what leaves,
// and has the hits kept by cloudsync before it answers.
package processor

import (
	"errors"
	"fmt"
	"time"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/config"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/detectors"
	"github.com/sidelight/sidelight/processor/internal/engine"
	"github.com/sidelight/sidelight/processor/internal/engine/coraza"
	"github.com/sidelight/sidelight/processor/internal/hash"
	"github.com/sidelight/sidelight/processor/internal/mask"
	"github.com/sidelight/sidelight/processor/internal/recognise"
	"github.com/sidelight/sidelight/processor/internal/verdict"
)

// InspectorConfig bounds what the inspection of one request may cost, and what is shown of it.
type InspectorConfig struct {
	// Body is how much of a body is looked at.
	Body config.ByteSize `yaml:"body"`
	// File is how much of each uploaded file is looked at.
	File config.ByteSize `yaml:"file"`
	// Depth is the deepest nesting of JSON that is looked at.
	Depth int `yaml:"depth"`
	// Points is the largest number of values that are looked at.
	Points int `yaml:"points"`
	// DecodeTime is how long the decoding of one request may take.
	DecodeTime config.Duration `yaml:"decode_time"`
	// Shown is how much of a masked request a hit carries.
	Shown config.ByteSize `yaml:"shown"`
	// HashKey keys the hashes of payloads and clients. All replicas of a cluster need the same; empty: a random one for this process.
	HashKey config.Secret `yaml:"hash_key"`
}

// DefaultInspectorConfig holds limits that suit APIs.
func DefaultInspectorConfig() InspectorConfig {
	l := decode.DefaultLimits()
	return InspectorConfig{
		Body: config.ByteSize(l.Body), File: config.ByteSize(l.File), Depth: l.Depth, Points: l.Points,
		DecodeTime: config.Duration(l.Time), Shown: 4 << 10,
	}
}

// Validate gives all problems.
func (c InspectorConfig) Validate() error {
	var errs []error
	bounds := func(name string, v, lo, hi int64) {
		if v < lo || v > hi {
			errs = append(errs, fmt.Errorf("inspect.%s is %d: give a value from %d to %d", name, v, lo, hi))
		}
	}
	bounds("body", int64(c.Body), 1<<10, 8<<20)
	bounds("file", int64(c.File), 0, 8<<20)
	bounds("depth", int64(c.Depth), 1, 512)
	bounds("points", int64(c.Points), 16, 1<<16)
	bounds("shown", int64(c.Shown), 0, 64<<10)
	if t := time.Duration(c.DecodeTime); t < time.Millisecond || t > 10*time.Second {
		errs = append(errs, fmt.Errorf("inspect.decode_time is %s: give a value from 1ms to 10s", t))
	}
	if n := len(c.HashKey.Reveal()); n > 0 && n < 16 {
		errs = append(errs, errors.New("inspect.hash_key is too short: give at least 16 characters, or none"))
	}
	return errors.Join(errs...)
}

// Verdict is what one exchange means.
type Verdict struct {
	Hits []*detectionv1.Hit
	// Matches are the ids of all rules that matched, ascending, whether they made a hit or not.
	Matches []uint32
	// Complete: the whole request was inspected. WhyIncomplete says what was not.
	Complete      bool
	WhyIncomplete string
	Summary       *processorv1.Summary
	Observation   *inventoryv1.Observation
	// Fact is for the behaviour of the client; nil if the exchange says nothing of it.
	Fact *detectionv1.Fact

	session []byte
}

// matcher is what an engine must do. It may add points to the request; an error means that not all was inspected.
type matcher interface {
	Match(*decode.Request) ([]engine.Match, error)
}

var _ matcher = (*coraza.Engine)(nil)

// Inspector judges exchanges without any network. It is safe for concurrent use.
type Inspector struct {
	limits decode.Limits
	shown  int
	key    hash.Key
	engine matcher
	built  time.Duration
	// own are a person's rules, masks their masks; nil: none.
	own   *coraza.Engine
	masks *mask.Points
}

// NewInspector compiles the rules, which takes about half a second.
func NewInspector(cfg InspectorConfig) (*Inspector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	limits := decode.Limits{
		Body: int(cfg.Body), File: int(cfg.File), Depth: cfg.Depth, Points: cfg.Points, Time: time.Duration(cfg.DecodeTime),
	}
	e, err := coraza.New(limits)
	if err != nil {
		return nil, fmt.Errorf("starting the rule engine: %w", err)
	}
	return &Inspector{limits: limits, shown: int(cfg.Shown), key: hash.NewKey(cfg.HashKey.Reveal()), engine: e, built: e.BuildTime()}, nil
}

// BuildTime is how long the rules took to compile.
func (i *Inspector) BuildTime() time.Duration { return i.built }

// Inspect judges one exchange. It never fails: what could not be inspected is said in the verdict.
func (i *Inspector) Inspect(x *trafficv1.Exchange) Verdict {
	r := decode.Decode(x.GetRequest(), x.GetGaps(), i.limits)
	ms, why := i.match(r)
	v := Verdict{Matches: verdict.Rules(ms), Complete: len(why) == 0, WhyIncomplete: notInspected(why)}
	view := mask.NewView(r, i.masks)
	request := view.Summary(x)
	v.Summary = summary(x, request)
	v.Summary.Complete, v.Summary.WhyIncomplete = v.Complete, v.WhyIncomplete
	findings := verdict.Judge(r, ms)
	var masked []byte
	if len(findings) > 0 {
		masked = view.Request(i.shown)
	}
	for _, f := range findings {
		h := i.hit(x, r, f, view, request, masked)
		v.Hits = append(v.Hits, h)
		v.Summary.Hits = append(v.Summary.Hits, &processorv1.SummaryHit{Type: h.GetType(), Point: h.GetPoint()})
	}
	if !x.GetResumed() {
		v.Observation = recognise.Observe(r, x, i.client(x), len(v.Hits) > 0, !v.Complete)
	}
	v.session = i.session(r)
	v.Fact = i.fact(x, r, v.session, v.Summary.GetHits())
	return v
}

// match runs the built-in rules, the detectors and a person's rules.
func (i *Inspector) match(r *decode.Request) (ms []engine.Match, why []string) {
	ms, err := i.engine.Match(r)
	ms = append(ms, detectors.Match(r)...)
	why = r.NotInspected
	if err != nil {
		why = append(why, err.Error())
	}
	if i.own != nil {
		own, err := i.own.Match(r)
		ms = append(ms, own...)
		if err != nil {
			why = append(why, "own rules: "+err.Error())
		}
	}
	return ms, why
}
