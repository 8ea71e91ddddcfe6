package parts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cpu is the processor time that a process has used, in seconds.
func (p *process) cpu(t testing.TB) float64 {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	require.NoError(t, err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	sum := 0.0
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseFloat(field, 64)
		require.NoError(t, err)
		sum += ticks / 100
	}
	return sum
}

// sent is the bytes that a part has sent to others over connections that stand, after TLS, as the kernel counts them.
func (p *process) sentTo(t testing.TB, others ...*process) float64 {
	t.Helper()
	var output []byte
	var err error
	p.host.do(func() { output, err = exec.Command("ss", "-tinHO", "state", "established").CombinedOutput() })
	require.NoError(t, err, "%s", output)
	sum := 0.0
	for line := range strings.Lines(string(output)) {
		for _, o := range others {
			if !strings.Contains(line, " "+o.host.address+":") {
				continue
			}
			if m := regexp.MustCompile(`bytes_sent:(\d+)`).FindStringSubmatch(line); m != nil {
				n, err := strconv.ParseFloat(m[1], 64)
				require.NoError(t, err)
				sum += n
			}
		}
	}
	return sum
}

// BenchmarkLinks: processor time of each part and bytes on each link, for each exchange of an ordinary mix in which one
// request in twenty is an attack.
func BenchmarkLinks(b *testing.B) {
	const n, perSecond = 6000, 400
	for b.Loop() {
		// Connections are not renewed meanwhile: the kernel's counters go with them.
		f := newFleet(b, options{age: "1h"})
		ctx, stop := context.WithCancel(b.Context())
		warm := f.newLoad(20)
		warm.run(ctx, perSecond, 4, 400)
		warm.settle(b, 20*time.Second)
		links := map[string]func() float64{
			"agent-aggregator": func() float64 { return f.agent.sentTo(b, f.aggregators...) },
			"aggregator-processor": func() float64 {
				return sum(f.aggregators, func(p *process) float64 { return p.sentTo(b, f.processor...) })
			},
			"processor-aggregator": func() float64 {
				return sum(f.processor, func(p *process) float64 { return p.sentTo(b, f.aggregators...) })
			},
			"processor-cloudsync": func() float64 { return sum(f.processor, func(p *process) float64 { return p.sentTo(b, f.cloudsync) }) },
			"processor-apidiscover": func() float64 {
				return sum(f.processor, func(p *process) float64 { return p.sentTo(b, f.apidiscovery) })
			},
			"cloudsync-console": func() float64 { return f.cloudsync.sentTo(b, f.console) },
		}
		parts := map[string][]*process{
			"agent": {f.agent}, "aggregator": f.aggregators, "processor": f.processor, "cloudsync": {f.cloudsync}, "apidiscovery": {f.apidiscovery}, "console": {f.console},
		}
		cpuBefore, linkBefore := map[string]float64{}, map[string]float64{}
		for name, list := range parts {
			cpuBefore[name] = sum(list, func(p *process) float64 { return p.cpu(b) })
		}
		for name, read := range links {
			linkBefore[name] = read()
		}
		seen := func() (bytes uint64) {
			for _, c := range f.statusOf(f.agent).GetCoverage() {
				bytes += c.GetBytesSeen()
			}
			return bytes
		}
		seenBefore := seen()
		l := f.newLoad(20)
		l.run(ctx, perSecond, 4, n)
		l.settle(b, 20*time.Second)
		captured := float64(seen()-seenBefore) / n
		b.ReportMetric(captured, "captured-B")
		for name, read := range links {
			per := (read() - linkBefore[name]) / n
			b.ReportMetric(per, name+"-B")
			if name == "agent-aggregator" {
				b.ReportMetric(per/captured, "agent-aggregator-ratio")
			}
		}
		<-time.After(2 * time.Second) // the last flush and upload belong to it
		for name, list := range parts {
			b.ReportMetric((sum(list, func(p *process) float64 { return p.cpu(b) })-cpuBefore[name])/n*1e6, name+"-µs")
		}
		stop()
		f.end()
	}
}

func sum(list []*process, of func(*process) float64) float64 {
	total := 0.0
	for _, p := range list {
		total += of(p)
	}
	return total
}

// memory is what a process has in memory now.
func (p *process) memory(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	require.NoError(t, err)
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindStringSubmatch(string(text))
	require.NotNil(t, m)
	kib, err := strconv.Atoi(m[1])
	require.NoError(t, err)
	return kib >> 10
}

// At three times of what the processors can do every part's memory is flat.
func TestMemoryUnderOverload(t *testing.T) {
	requireLong(t)
	f := newFleet(t, options{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w := f.watch(ctx, "")
	capacity := f.capacity(w)
	ended := make(chan struct{})
	go func() { defer close(ended); f.burst(3*capacity, 5*time.Minute) }()
	// The largest of each minute.
	peaks := map[string][5]int{}
	begin := time.Now()
	for minute := 0; minute < 5; minute = int(time.Since(begin) / time.Minute) {
		f.eachCertified(func(p *process) {
			of := peaks[p.name]
			of[minute] = max(of[minute], p.memory(t))
			peaks[p.name] = of
		})
		<-time.After(time.Second)
	}
	<-ended
	for name, of := range peaks {
		t.Logf("%s at %.0f requests/s: %v MiB in each minute", name, 3*capacity, of)
		require.LessOrEqual(t, float64(of[4]), 1.15*float64(max(of[1], of[2]))+8, "%s grows", name)
	}
}
