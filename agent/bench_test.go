package agent

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sidelight/sidelight/agent/internal/budget"
	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/testkit"
)

// BenchmarkSaturated: an nginx that has all that it can take of one processor, which it shares with the load; alone and mirrored by a
// whole agent, which has another processor, with an aggregator, or shares both with them.
func BenchmarkSaturated(b *testing.B) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		testkit.Skip(b, "no wrk: apt-get install wrk")
	}
	for _, scheme := range []string{"http", "https"} {
		for _, with := range []string{"a processor to spare", "none to spare"} {
			b.Run(scheme+", "+with, func(b *testing.B) {
				own := []string{}
				if with == "a processor to spare" {
					if runtime.NumCPU() < 2 {
						testkit.Skip(b, "one processor is not enough")
					}
					own = []string{"taskset", "-c", "0"}
					stay(b, 1)
				}
				for b.Loop() {
					saturated(b, scheme, wrk, own)
				}
			})
		}
	}
}

func saturated(b *testing.B, scheme, wrk string, own []string) {
	p := saturable(b, scheme == "https", own...)
	url := scheme + "://" + p.address + "/"
	var alone, mirrored []load
	for range 3 {
		alone = append(alone, runWrk(b, wrk, url, 32, own...))
		s := watched(b, p, budget.Config{})
		mirrored = append(mirrored, runWrk(b, wrk, url, 32, own...))
		stats := s.agent.probe.Stats()
		b.Logf("seen %d bytes, no room for %d", stats.Bytes, stats.RingFullBytes)
		s.stop()
	}
	a, m := middle(alone), middle(mirrored)
	b.ReportMetric(a.perSecond, "requests/s:alone")
	b.ReportMetric(m.perSecond, "requests/s:mirrored")
	b.ReportMetric(100*(m.perSecond/a.perSecond-1), "%throughput")
	b.ReportMetric(float64(a.p99.Microseconds()), "µs-p99:alone")
	b.ReportMetric(float64(m.p99.Microseconds()), "µs-p99:mirrored")
}

// stay keeps this process on one processor until the benchmark ends.
func stay(b *testing.B, processor int) {
	b.Helper()
	var before, one unix.CPUSet
	require.NoError(b, unix.SchedGetaffinity(0, &before))
	one.Set(processor)
	set := func(to *unix.CPUSet) {
		tasks, err := os.ReadDir("/proc/self/task")
		require.NoError(b, err)
		for _, task := range tasks {
			thread, err := strconv.Atoi(task.Name())
			require.NoError(b, err)
			// A thread may have ended since.
			_ = unix.SchedSetaffinity(thread, to)
		}
	}
	set(&one)
	b.Cleanup(func() { set(&before) })
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
func saturable(b *testing.B, withTLS bool, before ...string) *program {
	b.Helper()
	requireBPF(b)
	p, args := nginx(b, "", "", fmt.Sprintf(`return 200 "%01024d";`, 0))
	if !withTLS {
		withoutTLS(b, p)
	}
	command := slices.Concat(before, []string{find(b, "/usr/sbin/nginx", "nginx-light")}, args)
	return p.launch(b, exec.Command(command[0], command[1:]...)).listening(b)
}

var (
	rateLine = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	p99Line  = regexp.MustCompile(`99%\s+([\d.]+(?:us|ms|s))`)
)

func runWrk(b *testing.B, wrk, url string, connections int, before ...string) load {
	b.Helper()
	command := slices.Concat(before, []string{wrk, "-t1", fmt.Sprint("-c", connections), "-d4s", "--latency", url})
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
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

// BenchmarkOverload: an nginx that is asked three times as often as the agent may look. What comes out whole is to be most of what
// the agent can do within its share.
func BenchmarkOverload(b *testing.B) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		testkit.Skip(b, "no wrk: apt-get install wrk")
	}
	p := saturable(b, false)
	url := "http://" + p.address + "/"
	for b.Loop() {
		free := watched(b, p, budget.Config{})
		runWrk(b, wrk, url, 200)
		before, at := free.mark()
		runWrk(b, wrk, url, 200)
		rate, used := free.since(before, at)
		free.stop()

		share := used / 3
		s := watched(b, p, budget.Config{CPU: share, Window: config.Duration(2 * time.Second), Recovery: config.Duration(30 * time.Second)})
		// It finds its step meanwhile.
		for range 6 {
			runWrk(b, wrk, url, 200)
			b.Logf("sheds %q", s.agent.budget.State().Text)
		}
		before, at = s.mark()
		runWrk(b, wrk, url, 200)
		kept, took := s.since(before, at)
		stats := s.agent.probe.Stats()
		s.stop()
		b.ReportMetric(rate, "exchanges/s:free")
		b.ReportMetric(used, "cores:free")
		b.ReportMetric(kept, "exchanges/s:kept")
		b.ReportMetric(took, "cores:kept")
		b.ReportMetric(share, "cores:allowed")
		b.ReportMetric(100*kept/(rate/3), "%ofcapacity")
		b.ReportMetric(float64(stats.RingFullBytes), "bytes-lost")
	}
}

func watched(b *testing.B, p *program, share budget.Config) *site {
	s := &site{aggregator: &aggregator{came: make(chan struct{}, 1), forget: true}, address: p.address, budget: share}
	s.filters = append(s.filters, p.filter)
	s.run(b)
	return s
}

// moment is what was counted by then.
type moment struct {
	whole int
	cpu   time.Duration
}

func (s *site) mark() (moment, time.Time) {
	var u syscall.Rusage
	// It cannot fail for the process itself.
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	s.aggregator.mu.Lock()
	defer s.aggregator.mu.Unlock()
	return moment{s.aggregator.whole, time.Duration(u.Utime.Nano() + u.Stime.Nano())}, time.Now()
}

// since gives exchanges and processor seconds per second.
func (s *site) since(before moment, at time.Time) (perSecond, cores float64) {
	after, now := s.mark()
	took := now.Sub(at).Seconds()
	return float64(after.whole-before.whole) / took, (after.cpu - before.cpu).Seconds() / took
}
