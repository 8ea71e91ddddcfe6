package agent

import (
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/testkit"
)

// BenchmarkSaturated: an nginx that has all that it can take, alone and mirrored by a whole agent, which shares the processors with
// it, the load and an aggregator. Half of the connections are over TLS.
func BenchmarkSaturated(b *testing.B) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		testkit.Skip(b, "no wrk: apt-get install wrk")
	}
	for _, scheme := range []string{"http", "https"} {
		b.Run(scheme, func(b *testing.B) {
			for b.Loop() {
				p := saturable(b, scheme == "https")
				url := scheme + "://" + p.address + "/"
				var alone, mirrored []load
				for range 3 {
					alone = append(alone, runWrk(b, wrk, url))
					s := &site{aggregator: &aggregator{came: make(chan struct{}, 1), forget: true}, address: p.address}
					s.filters = append(s.filters, p.filter)
					s.run(b)
					mirrored = append(mirrored, runWrk(b, wrk, url))
					stats := s.agent.probe.Stats()
					b.Logf("seen %d bytes, no room for %d, shedding %q", stats.Bytes, stats.RingFullBytes, s.agent.budget.State().Text)
					s.stop()
				}
				a, m := middle(alone), middle(mirrored)
				b.ReportMetric(a.perSecond, "requests/s:alone")
				b.ReportMetric(m.perSecond, "requests/s:mirrored")
				b.ReportMetric(100*(m.perSecond/a.perSecond-1), "%throughput")
				b.ReportMetric(float64(a.p99.Microseconds()), "µs-p99:alone")
				b.ReportMetric(float64(m.p99.Microseconds()), "µs-p99:mirrored")
				b.ReportMetric(float64(runtime.NumCPU()), "processors")
			}
		})
	}
}

type load struct {
	perSecond float64
	p99       time.Duration
}

func middle(list []load) load {
	slices.SortFunc(list, func(a, b load) int { return int(a.perSecond - b.perSecond) })
	return list[len(list)/2]
}

// saturable is an nginx with one worker and answers of 1 KiB.
func saturable(b *testing.B, withTLS bool) *program {
	b.Helper()
	requireBPF(b)
	p, args := nginx(b, "", "", fmt.Sprintf(`return 200 "%01024d";`, 0))
	if !withTLS {
		withoutTLS(b, p)
	}
	return p.launch(b, exec.Command(find(b, "/usr/sbin/nginx", "nginx-light"), args...)).listening(b)
}

var (
	rateLine = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	p99Line  = regexp.MustCompile(`99%\s+([\d.]+(?:us|ms|s))`)
)

func runWrk(b *testing.B, wrk, url string) load {
	b.Helper()
	out, err := exec.Command(wrk, "-t1", "-c32", "-d4s", "--latency", url).CombinedOutput()
	require.NoError(b, err, "%s", out)
	rate, late := rateLine.FindSubmatch(out), p99Line.FindSubmatch(out)
	require.NotNil(b, rate, "%s", out)
	require.NotNil(b, late, "%s", out)
	perSecond, err := strconv.ParseFloat(string(rate[1]), 64)
	require.NoError(b, err)
	p99, err := time.ParseDuration(string(late[1]))
	require.NoError(b, err)
	return load{perSecond, p99}
}
