package ingest

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/testkit"

	"github.com/sidelight/sidelight/aggregator/internal/clientaddr"
	"github.com/sidelight/sidelight/aggregator/internal/route"
	agents "github.com/sidelight/sidelight/aggregator/internal/status"
)

// wire is a stream that says what the test gave it, and then ends.
type wire struct {
	grpc.ServerStream
	ctx      context.Context
	requests []*aggregatorv1.MirrorRequest

	mu        sync.Mutex
	responses []*aggregatorv1.MirrorResponse
}

func (w *wire) Context() context.Context       { return w.ctx }
func (w *wire) SendHeader(_ metadata.MD) error { return nil }

func (w *wire) Recv() (*aggregatorv1.MirrorRequest, error) {
	if len(w.requests) == 0 {
		return nil, io.EOF
	}
	next := w.requests[0]
	w.requests = w.requests[1:]
	return next, nil
}

func (w *wire) Send(m *aggregatorv1.MirrorResponse) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.responses = append(w.responses, m)
	return nil
}

func (w *wire) acks() map[uint64]*aggregatorv1.Ack {
	acks := map[uint64]*aggregatorv1.Ack{}
	for _, m := range w.responses {
		if ack := m.GetAck(); ack != nil {
			acks[ack.GetSequence()] = ack
		}
	}
	return acks
}

// judge is a router that judges at once.
type judge struct {
	mu    sync.Mutex
	items []route.Item
}

func (j *judge) Submit(items []route.Item) {
	j.mu.Lock()
	j.items = append(j.items, items...)
	j.mu.Unlock()
	for _, item := range items {
		item.Done(false)
	}
}

// board notes what the service says of agents.
type board struct {
	mu       sync.Mutex
	open     int
	reports  []*statusv1.PartStatus
	watched  []time.Time
	lastLife agents.Life
}

func (b *board) Opened(life agents.Life, _ string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open++
	b.lastLife = life
}

func (b *board) Closed(agents.Life) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
}

func (b *board) Reported(_ agents.Life, s *statusv1.PartStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reports = append(b.reports, s)
}

func (b *board) Watched(_ agents.Life, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watched = append(b.watched, until)
}

type rig struct {
	service *Service
	judge   *judge
	board   *board
	losses  *losses.Losses
	wire    *wire
}

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func newRig(t testing.TB, limit int64) *rig {
	t.Helper()
	clients, err := clientaddr.New(nil, clientaddr.Headers())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{judge: &judge{}, board: &board{}, losses: losses.NewLosses(nil, "aggregator")}
	r.service = New(Config{Cluster: "east", MaxPendingBytes: limit}, Deps{
		Router: r.judge, Clients: clients, Agents: r.board, Log: testkit.Quiet(), Losses: r.losses, Now: func() time.Time { return noon },
	})
	return r
}

// mirror runs one stream to its end.
func (r *rig) mirror(t testing.TB, requests ...*aggregatorv1.MirrorRequest) error {
	t.Helper()
	r.wire = &wire{ctx: t.Context(), requests: requests}
	return r.service.Mirror(r.wire)
}

func (r *rig) lost() map[string]int64 {
	out := map[string]int64{}
	for _, l := range r.losses.Snapshot() {
		out[l.Place+"/"+l.Reason] = l.Count
	}
	return out
}

// The agent's clock is an hour behind, and its host has been up for 1000 s.
func hello() *aggregatorv1.MirrorRequest {
	return &aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Hello{Hello: &aggregatorv1.Hello{
		Node: "n1", Wall: timestamppb.New(noon.Add(-time.Hour)), MonoNs: 1000e9, StartedAt: &timestamppb.Timestamp{Seconds: 42},
	}}}
}

func batchOf(sequence uint64, workloads []*trafficv1.Workload, list ...*trafficv1.Exchange) *aggregatorv1.MirrorRequest {
	return &aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Batch{Batch: &aggregatorv1.Batch{
		Sequence: sequence, Exchanges: list, Workloads: workloads,
	}}}
}

func heartbeat(mono uint64) *aggregatorv1.MirrorRequest {
	return &aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Heartbeat{Heartbeat: &aggregatorv1.Heartbeat{WatchedUntilMonoNs: mono}}}
}

func report(s *statusv1.PartStatus) *aggregatorv1.MirrorRequest {
	return &aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Status{Status: s}}
}
