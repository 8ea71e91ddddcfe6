package processor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/policy"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/engine/coraza"
	"github.com/sidelight/sidelight/processor/internal/mask"
	"github.com/sidelight/sidelight/processor/internal/seclang"
	"github.com/sidelight/sidelight/processor/internal/verdict"
)

const (
	mostRules = 200
	mostCases = 100
	longest   = 64 << 10
)

// With gives an inspector that obeys a policy. The built-in rules are shared, not compiled again. An error says why the policy
// cannot be obeyed, in words that hold nothing of a case's request.
func (i *Inspector) With(p policy.Policy) (*Inspector, error) {
	points, err := mask.NewPoints(p.Masks.GetPoints())
	if err != nil {
		return nil, err
	}
	own, err := i.compile(p.Rules.GetRules())
	if err != nil {
		return nil, err
	}
	next := *i
	next.masks, next.own = points, own
	return &next, nil
}

// compile makes an engine of a person's rules and proves it with their cases. Without rules there is none.
func (i *Inspector) compile(list []*policyv1.Rule) (*coraza.Engine, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if len(list) > mostRules {
		return nil, fmt.Errorf("%d rules are too many: give at most %d", len(list), mostRules)
	}
	var text strings.Builder
	var read []seclang.Rules
	var ids []uint32
	for n, r := range list {
		rules, err := seclang.Check(r.GetSeclang())
		if err != nil {
			return nil, fmt.Errorf("rule %d of %d: %w", n+1, len(list), err)
		}
		for _, id := range rules.IDs {
			if slices.Contains(ids, id) {
				return nil, fmt.Errorf("rule %d: its id is taken by another rule", id)
			}
			ids = append(ids, id)
		}
		// One by one, so that the reason names the rule.
		if _, err := coraza.NewOwn(i.limits, rules.Text); err != nil {
			return nil, fmt.Errorf("rule %d: %w", rules.IDs[0], shortened(err))
		}
		read = append(read, rules)
		text.WriteString(rules.Text)
	}
	e, err := coraza.NewOwn(i.limits, text.String())
	if err != nil {
		return nil, fmt.Errorf("the rules together: %w", shortened(err))
	}
	for n, r := range list {
		if err := i.prove(e, read[n].IDs, r.GetCases()); err != nil {
			return nil, fmt.Errorf("rule %d: %w", read[n].IDs[0], err)
		}
	}
	return e, nil
}

// prove runs a rule's cases with all rules together, as they will be in force.
func (i *Inspector) prove(e matcher, ids []uint32, list []*policyv1.RuleCase) error {
	if len(list) > mostCases {
		return fmt.Errorf("%d cases are too many: give at most %d", len(list), mostCases)
	}
	hits, silent := 0, 0
	for n, c := range list {
		request, err := caseRequest(c)
		if err != nil {
			return fmt.Errorf("case %d: %w", n+1, err)
		}
		r := decode.Decode(request, nil, i.limits)
		ms, err := e.Match(r)
		if err != nil {
			return fmt.Errorf("case %d could not be looked at whole", n+1)
		}
		matched := slices.ContainsFunc(verdict.Rules(ms), func(id uint32) bool { return slices.Contains(ids, id) })
		switch {
		case c.GetHit() && !matched:
			return fmt.Errorf("case %d must match and does not", n+1)
		case !c.GetHit() && matched:
			return fmt.Errorf("case %d must not match and does", n+1)
		case c.GetHit():
			hits++
		default:
			silent++
		}
	}
	if hits == 0 || silent == 0 {
		return errors.New("give at least one case that must match and one that must not")
	}
	return nil
}

func caseRequest(c *policyv1.RuleCase) (*trafficv1.Request, error) {
	if c.GetMethod() == "" || !strings.HasPrefix(c.GetTarget(), "/") {
		return nil, errors.New("it needs a method, and a target that begins with a slash")
	}
	if len(c.GetTarget()) > longest || len(c.GetBody()) > longest || len(c.GetHeaders()) > mostCases {
		return nil, errors.New("its request is too large")
	}
	q := &trafficv1.Request{
		Method: []byte(c.GetMethod()), Target: []byte(c.GetTarget()), Protocol: trafficv1.Protocol_PROTOCOL_HTTP11, Authority: []byte("case.example"),
		BodySize: uint64(len(c.GetBody())), BodyComplete: true,
	}
	for _, line := range c.GetHeaders() {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, errors.New("a header is written \"Name: value\"")
		}
		q.Headers = append(q.Headers, &trafficv1.Header{Name: []byte(name), Value: []byte(strings.TrimSpace(value))})
	}
	if len(c.GetBody()) > 0 {
		q.Body = []*trafficv1.BodySegment{{Data: c.GetBody()}}
	}
	return q, nil
}

// shortened bounds what the engine says of a rule.
func shortened(err error) error {
	const most = 300
	if text := err.Error(); len(text) > most {
		return errors.New(strings.ToValidUTF8(text[:most], "") + " …")
	}
	return err
}
