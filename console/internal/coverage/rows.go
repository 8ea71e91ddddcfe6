package coverage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/edge"
	"github.com/sidelight/sidelight/console/internal/page"
	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

const agentPart = "agent"

// rowKey is a row's place in the list: those with losses first. Whether there are any can change between two pages, and
// moves a row once; how many there are does not.
type rowKey struct {
	Clean   bool   `json:"l"`
	Cluster string `json:"c"`
	Node    string `json:"n"`
	// Workload names it within its node, Index among those of equal names.
	Workload string `json:"w"`
	Index    int    `json:"x"`
}

func (k rowKey) compare(o rowKey) int {
	clean := 0
	if k.Clean != o.Clean {
		clean = -1
		if k.Clean {
			clean = 1
		}
	}
	return cmp.Or(clean, cmp.Compare(k.Cluster, o.Cluster), cmp.Compare(k.Node, o.Node),
		cmp.Compare(k.Workload, o.Workload), cmp.Compare(k.Index, o.Index))
}

type keyed struct {
	key rowKey
	row *consolev1.CoverageRow
}

// ListCoverage gives a page of what agents said last of their workloads. It is put in order here: agents tell all of it anew
// every ten seconds, which a table with a row for each would have to take.
func (s *Service) ListCoverage(ctx context.Context, req *connect.Request[consolev1.ListCoverageRequest]) (*connect.Response[consolev1.ListCoverageResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	var after rowKey
	there, err := page.Parse(req.Msg.GetPageToken(), &after)
	if err != nil {
		return nil, edge.Invalid(err)
	}
	rows, err := s.rows(ctx, p.Org, req.Msg.GetCluster())
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading coverage", err)
	}
	if there {
		i, found := slices.BinarySearchFunc(rows, after, func(r keyed, k rowKey) int { return r.key.compare(k) })
		if found {
			i++
		}
		rows = rows[i:]
	}
	out := &consolev1.ListCoverageResponse{}
	size := int(page.Bounded(req.Msg.GetPageSize(), defaultRows, mostRows))
	for i, r := range rows {
		if i == size {
			out.NextPageToken = page.Token(rows[i-1].key)
			break
		}
		out.Rows = append(out.Rows, r.row)
	}
	return connect.NewResponse(out), nil
}

// rows gives all of them in order.
func (s *Service) rows(ctx context.Context, org int64, cluster string) ([]keyed, error) {
	installed, err := s.store.Q().ListInstallations(ctx, org)
	if err != nil {
		return nil, err
	}
	installations := map[string]string{}
	for _, i := range installed {
		installations[i.Cluster] = i.InstallationID
	}
	part := agentPart
	reports, err := s.store.Q().ListStatuses(ctx, dbsqlc.ListStatusesParams{
		OrgID: org, Cluster: store.Filter(cluster, store.ClusterWidth), Part: &part,
	})
	if err != nil {
		return nil, err
	}
	var rows []keyed
	for _, r := range reports {
		status := &statusv1.PartStatus{}
		if err := proto.Unmarshal(r.Body, status); err != nil {
			return nil, fmt.Errorf("decoding a status: %w", err)
		}
		at := status.GetReportedAt()
		if !at.IsValid() {
			at = timestamppb.New(r.ReceivedAt)
		}
		seen := map[string]int{}
		for _, c := range status.GetCoverage() {
			name := nameOf(c.GetWorkload())
			rows = append(rows, keyed{
				rowKey{c.GetBytesLost() == 0 && c.GetExchangesLost() == 0, r.Cluster, r.Instance, name, seen[name]},
				&consolev1.CoverageRow{Installation: installations[r.Cluster], Cluster: r.Cluster, Node: r.Instance, Coverage: c, ReportedAt: at},
			})
			seen[name]++
		}
	}
	slices.SortFunc(rows, func(a, b keyed) int { return a.key.compare(b.key) })
	return rows, nil
}

// nameOf tells the workloads of a node apart, in an order that a person understands.
func nameOf(w *trafficv1.Workload) string {
	const width = 128
	parts := []string{
		w.GetNamespace(), w.GetPod(), w.GetContainer(), w.GetContainerId(), w.GetService(),
		w.GetProcess().GetUnit(), w.GetProcess().GetExecutable(), strconv.FormatUint(uint64(w.GetProcess().GetPid()), 10),
	}
	for i, p := range parts {
		parts[i] = store.Text(p, width)
	}
	return strings.Join(parts, "/")
}
