// Package coverage says what the agent sees and what it does not: per workload, for the status lane.
package coverage

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/agent/internal/target"
	"github.com/sidelight/sidelight/agent/internal/workload"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

type processes interface {
	Lookup(pid uint32) (target.Selected, bool)
}

// Sight says what is seen of a mirrored process beside its plain sockets.
type Sight interface {
	// TLS lists the libraries that it maps.
	TLS(pid uint32) []*statusv1.TlsCoverage
	// Usage counts what is not inspected; false: whether it uses io_uring is not known to us.
	Usage(pid uint32) (usage probe.Usage, ioUring bool)
}

// Report knows the mirrored processes of this host.
type Report struct {
	cluster, node string
	processes     processes
	sight         Sight
	now           func() time.Time

	mu sync.Mutex
	// known is what was selected, or moved bytes since the selection last changed; order is as the selection had it.
	known map[uint32]*entry
	order []*entry
	// past is what is no longer mirrored, oldest first: its last counts are still told for a while.
	past []*entry
}

// entry is one process: ids are used again, so its start belongs to its name.
type entry struct {
	process  target.Selected
	workload *workload.Workload
	left     time.Time
	// As last asked while it was mirrored.
	tls     []*statusv1.TlsCoverage
	usage   probe.Usage
	ioUring bool
}

const (
	// pastFor is long enough for some reports.
	pastFor  = time.Minute
	pastMost = 256
)

// New makes an empty report.
func New(cluster, node string, p processes, sight Sight) *Report {
	return &Report{cluster: cluster, node: node, processes: p, sight: sight, now: time.Now, known: map[uint32]*entry{}}
}

// Selected replaces the set of mirrored processes. What is still in it keeps its counts.
func (r *Report) Selected(set []target.Selected) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.known
	r.known, r.order = make(map[uint32]*entry, len(set)), r.order[:0]
	for _, p := range set {
		e := before[p.PID]
		if e == nil || !same(e.process, p) {
			e = r.enter(p)
		}
		e.process = p
		r.known[p.PID] = e
		r.order = append(r.order, e)
	}
	for pid, e := range before {
		if r.known[pid] != e {
			r.leave(e)
		}
	}
}

func same(a, b target.Selected) bool {
	return a.PID == b.PID && a.StartTime == b.StartTime && a.Exe == b.Exe && a.Service == b.Service
}

// enter makes an entry, or takes up again what had left.
func (r *Report) enter(p target.Selected) *entry {
	for i, e := range r.past {
		if same(e.process, p) {
			r.past = append(r.past[:i], r.past[i+1:]...)
			return e
		}
	}
	return &entry{process: p, workload: workload.New(r.name(p))}
}

func (r *Report) leave(e *entry) {
	e.left = r.now()
	if len(r.past) == pastMost {
		r.past = r.past[1:]
	}
	r.past = append(r.past, e)
}

// Workload names the process that moved some bytes.
func (r *Report) Workload(tgid uint32) *workload.Workload {
	r.mu.Lock()
	e := r.known[tgid]
	r.mu.Unlock()
	if e != nil {
		return e.workload
	}
	// A child that the kernel began to mirror by itself, or one that is gone already.
	p, ok := r.processes.Lookup(tgid)
	if !ok {
		p = target.Selected{Why: "the process was gone before it could be looked at"}
		p.PID = tgid
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e = r.known[tgid]; e == nil {
		e = r.enter(p)
		r.known[tgid] = e
	}
	return e.workload
}

// Exchanges counts, per mirrored process, those that were made.
func (r *Report) Exchanges() map[uint32]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make(map[uint32]uint64, len(r.known))
	for pid, e := range r.known {
		counts[pid] = e.workload.Exchanges.Load()
	}
	return counts
}

func (r *Report) name(p target.Selected) *trafficv1.Workload {
	service := p.Service
	if service == "" && p.Exe != "" {
		service = path.Base(strings.TrimSuffix(p.Exe, " (deleted)"))
	}
	return &trafficv1.Workload{
		Cluster: r.cluster, Node: r.node, Service: text(service),
		Process: &trafficv1.Process{Pid: p.PID, Executable: text(p.Exe), Unit: text(p.Unit), Cgroup: text(p.Cgroup)},
	}
}

// text makes a name that the wire takes: files may be called anything.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// workloads is what is mirrored, and what was a moment ago.
func (r *Report) workloads() []*statusv1.Coverage {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*statusv1.Coverage, 0, len(r.known))
	for _, e := range r.known {
		e.tls = r.sight.TLS(e.process.PID)
		e.usage, e.ioUring = r.sight.Usage(e.process.PID)
	}
	for _, e := range r.order {
		list = append(list, e.coverage(true, e.process.Why))
	}
	chosen := make(map[*entry]bool, len(r.order))
	for _, e := range r.order {
		chosen[e] = true
	}
	for _, e := range r.known {
		if !chosen[e] {
			list = append(list, e.coverage(true, e.process.Why))
		}
	}
	for len(r.past) > 0 && r.now().Sub(r.past[0].left) > pastFor {
		r.past = r.past[1:]
	}
	for _, e := range r.past {
		list = append(list, e.coverage(false, "it ended, or is no longer selected"))
	}
	return list
}

func (e *entry) coverage(mirrored bool, why string) *statusv1.Coverage {
	w := e.workload
	c := &statusv1.Coverage{
		Workload: w.Name, Mirrored: mirrored, Why: why, Tls: e.tls,
		BytesSeen: w.BytesSeen.Load(), BytesSkipped: w.BytesSkipped.Load(), BytesLost: w.BytesLost.Load(),
		Exchanges: w.Exchanges.Load(), ExchangesAcknowledged: w.Acknowledged.Load(), ExchangesLost: w.Lost.Load(),
		BytesIoUring: e.usage.IOUring, IoUring: e.ioUring,
	}
	if n := e.usage.Undecrypted; n > 0 {
		c.BytesSkipped += n
		c.Tls = append(slices.Clip(c.Tls), &statusv1.TlsCoverage{
			Stack: "unknown", Why: fmt.Sprintf("%d bytes came and went on connections with TLS of which no library with probes told", n),
		})
	}
	return c
}
