package coverage

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/internal/losses"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// Facts is what the agent's other parts say.
type Facts struct {
	Started time.Time
	// Watched is since when programs are attached with a target; zero before.
	Watched                            time.Time
	Version                            string
	Ready                              error
	Probe                              probe.Stats
	Losses                             []losses.Loss
	Connections                        int
	BytesSeen, BytesSkipped, BytesLost uint64
	// BytesSent went to the aggregator, exchanges only.
	BytesSent uint64
	// PolicySequence is in force; PolicyRefused says why another is not.
	PolicySequence uint64
	PolicyRefused  string
	// Shedding says what is shed at this moment, and why.
	Shedding string
	// Backend is where bytes of sockets are taken; empty while nothing is mirrored.
	Backend string
}

// Status is the agent's own report.
func (r *Report) Status(f Facts) *statusv1.PartStatus {
	s := &statusv1.PartStatus{
		Part: "agent", Instance: r.node, Version: f.Version, Cluster: r.cluster, StartedAt: timestamppb.New(f.Started), ReportedAt: timestamppb.Now(),
		Ready: f.Ready == nil, PolicySequence: f.PolicySequence, PolicyRefusedBecause: f.PolicyRefused, Shedding: f.Shedding, CaptureBackend: f.Backend,
		Counters: []*statusv1.Counter{
			{Name: "connections", Value: int64(f.Connections)}, {Name: "events", Value: int64(f.Probe.Events)},
			{Name: "bytes_seen", Value: int64(f.BytesSeen)}, {Name: "bytes_skipped", Value: int64(f.BytesSkipped)},
			{Name: "bytes_lost", Value: int64(f.BytesLost)}, {Name: "bytes_sent", Value: int64(f.BytesSent)},
			{Name: "client_leg_bytes", Value: int64(f.Probe.ClientLegBytes)}, {Name: "ciphertext_bytes", Value: int64(f.Probe.CipherBytes)},
			{Name: "left_out_bytes", Value: int64(f.Probe.ShedBytes)},
			{Name: "tls_mismatches", Value: int64(f.Probe.TLSMismatches)},
		},
		Coverage: r.workloads(),
	}
	if f.Ready != nil {
		s.NotReadyBecause = f.Ready.Error()
	}
	if !f.Watched.IsZero() {
		s.WatchedFrom = timestamppb.New(f.Watched)
	}
	for _, l := range f.Losses {
		s.Losses = append(s.Losses, &statusv1.Loss{Place: l.Place, Reason: l.Reason, Count: l.Count})
	}
	for reason, n := range map[string]uint64{
		"ring_full": f.Probe.RingFullBytes, "fault": f.Probe.FaultBytes, "segments": f.Probe.SegmentsBytes, "undecodable": f.Probe.Undecodable,
		"compat_calls": f.Probe.CompatCalls, "tls_unplaced": f.Probe.TLSUnplacedBytes, "program_busy": f.Probe.Missed,
		"threads_full": f.Probe.ThreadsFullBytes, "tls_calls_full": f.Probe.TLSCallsFull, "not_followed": f.Probe.UnseenBytes, "connections_full": f.Probe.ConnectionsFull,
	} {
		if n > 0 {
			s.Losses = append(s.Losses, &statusv1.Loss{Place: "kernel", Reason: reason, Count: int64(n)})
		}
	}
	return s
}
