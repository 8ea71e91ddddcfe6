// Package coverage says what the agent sees and what it does not: per workload, for the status lane.
package coverage

import (
	"path"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/agent/internal/target"
	"github.com/sidelight/sidelight/internal/losses"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

type processes interface {
	Lookup(pid uint32) (target.Selected, bool)
}

// Report knows the mirrored processes of this host.
type Report struct {
	cluster, node string
	processes     processes

	mu        sync.Mutex
	selected  []target.Selected
	workloads map[uint32]*trafficv1.Workload
}

// New makes an empty report.
func New(cluster, node string, p processes) *Report {
	return &Report{cluster: cluster, node: node, processes: p, workloads: map[uint32]*trafficv1.Workload{}}
}

// Selected replaces the set of mirrored processes.
func (r *Report) Selected(set []target.Selected) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.selected = set
	// Process ids are used again.
	clear(r.workloads)
}

// Workload names the process that moved some bytes. What it returns is shared and never changed.
func (r *Report) Workload(tgid uint32) *trafficv1.Workload {
	r.mu.Lock()
	w := r.workloads[tgid]
	r.mu.Unlock()
	if w != nil {
		return w
	}
	p, ok := r.processes.Lookup(tgid)
	if !ok {
		return &trafficv1.Workload{Cluster: r.cluster, Node: r.node, Process: &trafficv1.Process{Pid: tgid}}
	}
	w = r.workload(p)
	r.mu.Lock()
	r.workloads[tgid] = w
	r.mu.Unlock()
	return w
}

func (r *Report) workload(p target.Selected) *trafficv1.Workload {
	service := p.Service
	if service == "" {
		service = path.Base(strings.TrimSuffix(p.Exe, " (deleted)"))
	}
	return &trafficv1.Workload{
		Cluster: r.cluster, Node: r.node, Service: service,
		Process: &trafficv1.Process{Pid: p.PID, Executable: p.Exe, Unit: p.Unit, Cgroup: p.Cgroup},
	}
}

// Facts is what the agent's other parts say.
type Facts struct {
	Started                            time.Time
	Version                            string
	Ready                              error
	Probe                              probe.Stats
	Losses                             []losses.Loss
	Connections                        int
	BytesSeen, BytesSkipped, BytesLost uint64
}

// Status is the agent's own report.
func (r *Report) Status(f Facts) *statusv1.PartStatus {
	s := &statusv1.PartStatus{
		Part: "agent", Instance: r.node, Version: f.Version, Cluster: r.cluster, StartedAt: timestamppb.New(f.Started), ReportedAt: timestamppb.Now(),
		Ready: f.Ready == nil,
		Counters: []*statusv1.Counter{
			{Name: "connections", Value: int64(f.Connections)}, {Name: "events", Value: int64(f.Probe.Events)},
			{Name: "bytes_seen", Value: int64(f.BytesSeen)}, {Name: "bytes_skipped", Value: int64(f.BytesSkipped)},
			{Name: "bytes_lost", Value: int64(f.BytesLost)}, {Name: "client_leg_bytes", Value: int64(f.Probe.ClientLegBytes)},
		},
	}
	if f.Ready != nil {
		s.NotReadyBecause = f.Ready.Error()
	}
	for _, l := range f.Losses {
		s.Losses = append(s.Losses, &statusv1.Loss{Place: l.Place, Reason: l.Reason, Count: l.Count})
	}
	for reason, n := range map[string]uint64{
		"ring_full": f.Probe.RingFullBytes, "fault": f.Probe.FaultBytes, "segments": f.Probe.SegmentsBytes, "undecodable": f.Probe.Undecodable,
		"compat_calls": f.Probe.CompatCalls, "connections_full": f.Probe.ConnectionsFull,
	} {
		if n > 0 {
			s.Losses = append(s.Losses, &statusv1.Loss{Place: "kernel", Reason: reason, Count: int64(n)})
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.selected {
		s.Coverage = append(s.Coverage, &statusv1.Coverage{Workload: r.workload(p), Mirrored: true, Why: p.Why})
	}
	return s
}
