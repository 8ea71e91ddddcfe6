package coraza

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/types"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/engine"
)

// Engine is the compiled rule set. It is safe for concurrent use.
type Engine struct {
	waf   coraza.WAF
	rules *ruleIndex
	built time.Duration
	// own: the rules are a person's.
	own bool
}

// New compiles the rules; it takes about half a second.
func New(l decode.Limits) (*Engine, error) {
	start := time.Now()
	registerMultipart()
	root, err := newRuleFS()
	if err != nil {
		return nil, err
	}
	// One byte more than a body can have: at its limit Coraza would take the body for cut.
	text, err := directives(l.Body+1, l.Depth, l.Points)
	if err != nil {
		return nil, err
	}
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(root).WithDirectives(text))
	if err != nil {
		return nil, fmt.Errorf("compiling the rule set: %w", err)
	}
	return &Engine{waf: waf, rules: newRuleIndex(false), built: time.Since(start)}, nil
}

// NewOwn compiles a person's rules into an engine of their own: they can neither switch off nor read what the rule set does,
// they compile in milliseconds, and without any they cost nothing. The text must have been checked by package seclang.
func NewOwn(l decode.Limits, text string) (e *Engine, err error) {
	start := time.Now()
	registerMultipart()
	defer func() {
		if p := recover(); p != nil {
			e, err = nil, fmt.Errorf("the rule engine failed on it (%T)", p)
		}
	}()
	setup, err := setUp(l.Body+1, l.Depth, l.Points)
	if err != nil {
		return nil, err
	}
	// No file is to be found by these rules, whatever they ask for.
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(embed.FS{}).WithDirectives(setup + text))
	if err != nil {
		return nil, fmt.Errorf("it does not compile: %w", err)
	}
	if c, ok := waf.(io.Closer); ok {
		// This lets go of the process-wide cache of compiled expressions, which would grow with every policy; the rules keep theirs.
		_ = c.Close()
	}
	return &Engine{waf: waf, rules: newRuleIndex(true), built: time.Since(start), own: true}, nil
}

// BuildTime is how long the rules took to compile.
func (e *Engine) BuildTime() time.Duration { return e.built }

// Match runs the rules over a request. It may add points to it, for places that only a match makes worth naming. An
// error means that the request was not inspected whole; the matches that come with it hold nevertheless.
func (e *Engine) Match(r *decode.Request) (found []engine.Match, err error) {
	tx := e.waf.NewTransaction()
	defer func() {
		// An engine that trips over one hostile request must not take the others with it.
		if p := recover(); p != nil {
			// What panicked may hold bytes of the traffic, so only its kind is said.
			err = fmt.Errorf("the rule engine failed (%T)", p)
		}
		err = errors.Join(err, closing(tx.Close()))
	}()
	tx.ProcessURI(string(r.Target), string(r.Method), version(r.Protocol))
	host := false
	for _, h := range r.Headers {
		if h.GetUnknown() {
			continue
		}
		tx.AddRequestHeader(string(h.GetName()), string(h.GetValue()))
		host = host || len(h.GetName()) == 4 && equalFold(h.GetName(), "host")
	}
	if !host && len(r.Authority) > 0 {
		tx.AddRequestHeader("Host", string(r.Authority))
	}
	tx.ProcessRequestHeaders()
	if len(r.Body) > 0 {
		if _, _, err := tx.WriteRequestBody(r.Body); err != nil {
			return e.collect(tx, r), errBody
		}
	}
	if _, err := tx.ProcessRequestBody(); err != nil {
		return e.collect(tx, r), errBody
	}
	return e.collect(tx, r), nil
}

// errBody says no more: what the engine says of a body it cannot read may quote it.
var errBody = errors.New("the rule engine could not read the body")

// logged is what Coraza's matched rules have beyond their interface: bookkeeping rules do not log.
type logged interface{ Log() bool }

func (e *Engine) collect(tx types.Transaction, r *decode.Request) []engine.Match {
	var out []engine.Match
	var loc *locator
	for _, m := range tx.MatchedRules() {
		if l, ok := m.(logged); ok && !l.Log() {
			continue
		}
		if loc == nil {
			loc = newLocator(r)
		}
		rule := e.rules.rule(m.Rule())
		where := loc.places(rule, m)
		if e.own && len(where) == 0 {
			// It matched at what is no point, such as the number of arguments; a person shall hear of it nevertheless.
			where = loc.anywhere()
		}
		out = append(out, engine.Match{Rule: &rule.Rule, Where: where})
	}
	return out
}

func version(p trafficv1.Protocol) string {
	switch p {
	case trafficv1.Protocol_PROTOCOL_HTTP10:
		return "HTTP/1.0"
	case trafficv1.Protocol_PROTOCOL_HTTP2:
		return "HTTP/2.0"
	default:
		return "HTTP/1.1"
	}
}

func closing(err error) error {
	if err != nil {
		return errors.New("the rule engine could not end")
	}
	return nil
}

func equalFold(b []byte, lower string) bool {
	for i, c := range b {
		if c|0x20 != lower[i] {
			return false
		}
	}
	return true
}
