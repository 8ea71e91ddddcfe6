package status

import (
	"context"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

// Service answers StatusService.
type Service struct {
	cloudsyncv1.UnimplementedStatusServiceServer
	board  *Board
	losses *losses.Losses
}

// NewService makes the service of a board.
func NewService(board *Board, l *losses.Losses) *Service { return &Service{board: board, losses: l} }

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
	if len(own) > 0 {
		s.board.Put(own)
	}
	return &cloudsyncv1.ReportResponse{}, nil
}

func maySpeakFor(identities []string, part string) bool {
	return part != "" && tlsreload.Is(identities, part) || part == "agent" && tlsreload.Is(identities, "aggregator")
}
