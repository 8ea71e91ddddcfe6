package status

import (
	"context"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

// agents hears what aggregators say of agents, and derives when those did not watch.
type agents interface {
	Hear([]*statusv1.PartStatus)
	Recent() []*statusv1.BlindInterval
}

// Service answers StatusService.
type Service struct {
	cloudsyncv1.UnimplementedStatusServiceServer
	board  *Board
	agents agents
	losses *losses.Losses
}

// NewService makes the service of a board.
func NewService(board *Board, agents agents, l *losses.Losses) *Service {
	return &Service{board: board, agents: agents, losses: l}
}

// Report takes what a part says of itself, and what the aggregator passes on from its agents. Words about other parts are
// left out and counted.
func (s *Service) Report(ctx context.Context, req *cloudsyncv1.ReportRequest) (*cloudsyncv1.ReportResponse, error) {
	var identities []string
	if certificate := rpc.PeerCertificate(ctx); certificate != nil {
		identities = tlsreload.PeerIdentities(certificate)
	}
	own := make([]*statusv1.PartStatus, 0, len(req.GetParts()))
	for _, p := range req.GetParts() {
		if !maySpeakFor(identities, p.GetPart()) {
			s.losses.Add("status", "foreign_part", 1)
			continue
		}
		own = append(own, p)
	}
	if len(own) == 0 {
		return &cloudsyncv1.ReportResponse{}, nil
	}
	if tlsreload.Is(identities, "aggregator") {
		// Only an aggregator knows whether an agent's stream is open.
		s.agents.Hear(own)
	}
	s.board.Put(own)
	return &cloudsyncv1.ReportResponse{}, nil
}

// ListStatus reads.
func (s *Service) ListStatus(context.Context, *cloudsyncv1.ListStatusRequest) (*cloudsyncv1.ListStatusResponse, error) {
	return &cloudsyncv1.ListStatusResponse{Parts: s.board.All(), BlindIntervals: s.agents.Recent()}, nil
}

func maySpeakFor(identities []string, part string) bool {
	return part != "" && tlsreload.Is(identities, part) || part == "agent" && tlsreload.Is(identities, "aggregator")
}
