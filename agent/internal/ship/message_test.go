package ship

import (
	"bytes"

	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/agent/internal/exchange"
	"github.com/sidelight/sidelight/agent/internal/workload"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// revision makes of a message what the builder gives.
func revision(e *trafficv1.Exchange, w *workload.Workload) *exchange.Revision {
	r := &exchange.Revision{
		ID: exchange.ID(e.GetId()), Number: e.GetRevision(), Content: e.GetRevision() == e.GetContentRevision(),
		Last: e.GetPhase() == trafficv1.Phase_PHASE_CLOSED, Workload: w, Start: e.GetTimes().GetRequestStartMonoNs(),
	}
	short := proto.CloneOf(e)
	short.Connection = nil
	if c := e.GetConnection(); c != nil {
		wire, err := proto.Marshal(c)
		if err != nil {
			panic(err)
		}
		r.Connection = string(wire)
	}
	for _, h := range e.GetRequest().GetHeaders() {
		if bytes.EqualFold(h.GetName(), []byte("host")) {
			if bytes.Equal(h.GetValue(), e.GetRequest().GetAuthority()) {
				short.Request.Authority = nil
			}
			break
		}
	}
	for _, s := range e.GetRequest().GetBody() {
		r.Body += len(s.GetData())
	}
	for _, h := range e.GetResponse().GetHeaders() {
		r.Heads += len(h.GetName()) + len(h.GetValue()) + len(": \r\n")
	}
	var err error
	if r.Wire, err = proto.Marshal(short); err != nil {
		panic(err)
	}
	return r
}

func (b *buffer) addMessage(e *trafficv1.Exchange, w *workload.Workload) { b.add(revision(e, w)) }

func (s *Shipper) takeMessage(e *trafficv1.Exchange, w *workload.Workload) { s.Take(revision(e, w)) }
