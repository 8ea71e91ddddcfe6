package policy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
)

// A person reads some problems, not thousands.
func TestProblemsAreBounded(t *testing.T) {
	t.Parallel()
	c := &consolev1.PolicyContent{Masks: &policyv1.Masks{}}
	for range maxPoints {
		c.Masks.Points = append(c.Masks.Points, "wrong")
	}
	err := validate(c, "")
	require.Len(t, strings.Split(err.Error(), "\n"), maxProblems+1)
	require.ErrorContains(t, err, "and 980 more")
	c.Masks.Points = append(c.Masks.Points, "wrong")
	require.EqualError(t, validate(c, ""), "1001 masks, want at most 1000")
}

func FuzzValidate(f *testing.F) {
	f.Add("10.0.0.0/8", "query.pin", "X: y", "/x", "GET")
	f.Add("::1%eth0", "header.Host", ":", "", "")
	f.Add("::ffff:1.2.3.4", "*", "a\x00:b", "/ ", "G T")
	f.Fuzz(func(t *testing.T, cidr, point, header, target, method string) {
		cases := []*policyv1.RuleCase{{Method: method, Target: target, Headers: []string{header}, Hit: true}, {Method: "GET", Target: "/"}}
		c := &consolev1.PolicyContent{
			TrustedCidrs: &policyv1.TrustedCidrs{Cidrs: []string{cidr}}, Masks: &policyv1.Masks{Points: []string{point}},
			Rules: &policyv1.Rules{Rules: []*policyv1.Rule{{Seclang: "x", Cases: cases}}},
		}
		if validate(c, "") != nil {
			return
		}
		if _, err := netip.ParsePrefix(cidr); err != nil {
			_, err = netip.ParseAddr(cidr)
			require.NoError(t, err)
		}
		require.NotEmpty(t, point)
		require.True(t, strings.HasPrefix(target, "/"))
	})
}
