package processor

import (
	"net/netip"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/mask"
	"github.com/sidelight/sidelight/processor/internal/recognise"
	"github.com/sidelight/sidelight/processor/internal/verdict"
)

// hit puts a finding into the words of the record. request is shared by all hits of the exchange, and so copied here.
func (i *Inspector) hit(x *trafficv1.Exchange, r *decode.Request, f verdict.Finding, view *mask.View, request *detectionv1.RequestSummary, masked []byte) *detectionv1.Hit {
	p := r.Points[f.Point]
	raw := r.RawBytes(p.Raw)
	h := &detectionv1.Hit{
		ExchangeId:  x.GetId(),
		Revision:    x.GetRevision(),
		Cluster:     x.GetWorkload().GetCluster(),
		Type:        f.Type,
		Point:       p.Name,
		Severity:    f.Severity,
		Confidence:  f.Confidence,
		Rules:       f.Rules,
		Evidence:    view.Evidence(f.Best),
		Outcome:     outcome(x),
		Request:     proto.CloneOf(request),
		PayloadHash: i.key.Sum("payload", raw[min(f.Best.Start, len(raw)):min(f.Best.End, len(raw))]),
		References:  f.References,
		ObservedAt:  observedAt(x),
	}
	h.Request.MaskedRequest = masked
	return h
}

func summary(x *trafficv1.Exchange, request *detectionv1.RequestSummary) *processorv1.Summary {
	return &processorv1.Summary{
		ExchangeId: x.GetId(), Revision: x.GetRevision(), Request: request, ObservedAt: observedAt(x), Phase: x.GetPhase(),
	}
}

func outcome(x *trafficv1.Exchange) detectionv1.Outcome {
	return verdict.Outcome(x.GetResponse().GetStatus(), x.GetPhase(), x.GetCloseReason())
}

// observedAt is the time that windows use: the aggregator's, else the agent's.
func observedAt(x *trafficv1.Exchange) *timestamppb.Timestamp {
	if t := x.GetTimes().GetObservedAt(); t != nil {
		return t
	}
	return x.GetTimes().GetRequestStart()
}

// client is the keyed hash of who sent the request.
func (i *Inspector) client(x *trafficv1.Exchange) []byte {
	a := clientAddress(x)
	if a == "" {
		return nil
	}
	return i.key.Sum("client", []byte(a))
}

// clientAddress is what the aggregator found out, else the peer.
func clientAddress(x *trafficv1.Exchange) string {
	if a := x.GetClient().GetAddress(); a != "" {
		return a
	}
	ip, ok := netip.AddrFromSlice(x.GetConnection().GetPeer().GetIp())
	if !ok {
		return ""
	}
	return ip.Unmap().String()
}

func notInspected(why []string) string {
	if len(why) == 0 {
		return ""
	}
	return "not inspected: " + strings.ToValidUTF8(strings.Join(why, "; "), "\uFFFD")
}

// brief is the summary of an exchange that needs no inspection.
func (i *Inspector) brief(x *trafficv1.Exchange) *processorv1.Summary {
	return summary(x, mask.NewView(i.head(x), i.masks).Summary(x))
}

// head decodes no more than the target and what headers there are.
func (i *Inspector) head(x *trafficv1.Exchange) *decode.Request {
	q := x.GetRequest()
	return decode.Decode(&trafficv1.Request{
		Method: q.GetMethod(), Target: q.GetTarget(), Authority: q.GetAuthority(), Protocol: q.GetProtocol(), Headers: q.GetHeaders(), BodyComplete: true,
	}, nil, i.limits)
}

// outcomeObservation brings the status of an exchange that was observed before.
func (i *Inspector) outcomeObservation(x *trafficv1.Exchange, attack bool) *inventoryv1.Observation {
	o := recognise.Observe(i.head(x), x, i.client(x), attack, true)
	o.OutcomeOnly = true
	o.Parameters = nil
	return o
}
