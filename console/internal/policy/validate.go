package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"google.golang.org/protobuf/proto"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
)

// Bounds of what a person may publish. The parts have their own and refuse what is over them; a person is told here first.
const (
	maxRules    = 200
	maxRule     = 64 << 10
	maxCases    = 100
	maxPoints   = 1000
	maxPoint    = 512
	maxRanges   = 1000
	maxContent  = 8 << 20
	maxComment  = 1024
	minBudget   = 1 << 10
	maxBudget   = 1 << 20
	maxProblems = 20
)

// problems collects what is wrong, up to what a person reads.
type problems struct {
	list []error
	more int
}

func (p *problems) add(format string, args ...any) {
	if len(p.list) == maxProblems {
		p.more++
		return
	}
	p.list = append(p.list, fmt.Errorf(format, args...))
}

func (p *problems) err() error {
	if p.more > 0 {
		return errors.Join(append(p.list, fmt.Errorf("and %d more", p.more))...)
	}
	return errors.Join(p.list...)
}

// validate gives all that can be seen to be wrong without the engines that will obey it.
func validate(c *consolev1.PolicyContent, comment string) error {
	p := &problems{}
	if len(comment) > maxComment {
		p.add("the comment is longer than %d bytes", maxComment)
	}
	if size := proto.Size(c); size > maxContent-maxContent/8 {
		p.add("the policy has %d bytes, want at most %d", size, maxContent-maxContent/8)
	}
	rules(p, c.GetRules().GetRules())
	if n := len(c.GetMasks().GetPoints()); n > maxPoints {
		p.add("%d masks, want at most %d", n, maxPoints)
	} else {
		for i, point := range c.GetMasks().GetPoints() {
			mask(p, i+1, point)
		}
	}
	if n := len(c.GetTrustedCidrs().GetCidrs()); n > maxRanges {
		p.add("%d trusted ranges, want at most %d: join neighbours", n, maxRanges)
	} else {
		for _, text := range c.GetTrustedCidrs().GetCidrs() {
			cidr(p, text)
		}
	}
	for name, value := range map[string]uint64{"request": c.GetBudgets().GetRequest(), "response": c.GetBudgets().GetResponse()} {
		if value != 0 && (value < minBudget || value > maxBudget) {
			p.add("the %s budget is %d bytes, want %d to %d, or 0 for the agent's default", name, value, minBudget, maxBudget)
		}
	}
	return p.err()
}

func rules(p *problems, list []*policyv1.Rule) {
	if len(list) > maxRules {
		p.add("%d rules, want at most %d", len(list), maxRules)
		return
	}
	for i, r := range list {
		n, hits, misses := i+1, 0, 0
		switch size := len(r.GetSeclang()); {
		case strings.TrimSpace(r.GetSeclang()) == "":
			p.add("rule %d is empty", n)
		case size > maxRule:
			p.add("rule %d has %d bytes, want at most %d", n, size, maxRule)
		}
		if len(r.GetCases()) > maxCases {
			p.add("rule %d has %d cases, want at most %d", n, len(r.GetCases()), maxCases)
			continue
		}
		for j, c := range r.GetCases() {
			oneCase(p, n, j+1, c)
			if c.GetHit() {
				hits++
			} else {
				misses++
			}
		}
		if hits == 0 || misses == 0 {
			p.add("rule %d needs a case that hits and one that does not", n)
		}
	}
}

func oneCase(p *problems, rule, n int, c *policyv1.RuleCase) {
	if c.GetMethod() == "" || strings.ContainsAny(c.GetMethod(), " \t\r\n") {
		p.add("rule %d, case %d: %.32q is no method", rule, n, c.GetMethod())
	}
	if !strings.HasPrefix(c.GetTarget(), "/") || strings.ContainsAny(c.GetTarget(), " \r\n") {
		p.add("rule %d, case %d: want a path that begins with / and has no spaces, such as /orders?q=x", rule, n)
	}
	for _, h := range c.GetHeaders() {
		if name, _, ok := strings.Cut(h, ":"); !ok || name == "" || strings.ContainsAny(h, "\r\n") {
			p.add("rule %d, case %d: %.64q is no header: want Name: value", rule, n, h)
		}
	}
}

// mask is what the processor takes as a point, or as the beginning of some.
func mask(p *problems, n int, name string) {
	first, rest, _ := strings.Cut(strings.ToLower(name), ".")
	star := strings.IndexByte(name, '*')
	switch strings.TrimSuffix(first, "*") {
	case "", "path", "body", "query", "header", "cookie":
	default:
		p.add("mask %d: %.64q names no point: begin with path, query., header., cookie. or body.", n, name)
		return
	}
	switch {
	case len(name) > maxPoint:
		p.add("mask %d is longer than %d bytes", n, maxPoint)
	case name == "" || strings.HasPrefix(name, "."):
		p.add("mask %d is empty", n)
	case star >= 0 && star != len(name)-1:
		p.add("mask %d: %.64q: a star stands only at the end, for any rest", n, name)
	case first == "header" && (rest == "host" || rest == "content-type"):
		p.add("mask %d: %q cannot be masked: nothing could be shown without it", n, name)
	}
}

// cidr is what the aggregator takes as a range.
func cidr(p *problems, text string) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" {
			p.add("trusted range %.64q is no address range: want one such as 10.0.0.0/8 or 2001:db8::/32", text)
			return
		}
		prefix = netip.PrefixFrom(address, address.BitLen())
	}
	switch {
	case prefix.Addr().Is4In6():
		p.add("trusted range %q maps IPv4: write it as IPv4", text)
	case prefix != prefix.Masked():
		p.add("trusted range %q has bits set beyond its length: did you mean %s?", text, prefix.Masked())
	}
}
