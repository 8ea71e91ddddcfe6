package processor

import (
	"bytes"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/recognise"
	"github.com/sidelight/sidelight/processor/internal/transform"
)

const (
	// largestFact is the bound of a fact on the wire.
	largestFact = 200
	// half of a hash is enough to tell what one client did apart.
	half = 8
)

// fact is what an answered exchange says of its client; nil: nothing. Recordings and what was resumed behind a gap say nothing.
func (i *Inspector) fact(x *trafficv1.Exchange, r *decode.Request, session []byte, hits []*processorv1.SummaryHit) *detectionv1.Fact {
	client := i.client(x)
	if client == nil || x.GetResponse().GetStatus() == 0 || x.GetResumed() || x.GetReplayed() || observedAt(x) == nil {
		return nil
	}
	f := &detectionv1.Fact{
		ExchangeId: x.GetId(), Client: client, Session: session, Service: x.GetWorkload().GetService(), Cluster: x.GetWorkload().GetCluster(),
		Host: recognise.Host(r), Endpoint: i.endpoint(r), Status: x.GetResponse().GetStatus(), ObservedAt: observedAt(x),
		ClientAddress: clientAddress(x),
	}
	for _, h := range hits {
		if !slices.Contains(f.GetTypes(), h.GetType()) {
			f.Types = append(f.Types, h.GetType())
		}
	}
	return fit(f)
}

// outcomeFact is the fact of an exchange whose request was judged before; session is what was found then.
func (i *Inspector) outcomeFact(x *trafficv1.Exchange, session []byte, hits []*processorv1.SummaryHit) *detectionv1.Fact {
	if x.GetResponse().GetStatus() == 0 {
		return nil
	}
	r := i.head(x)
	if session == nil {
		session = i.session(r)
	}
	return i.fact(x, r, session, hits)
}

// endpoint is two keyed hashes of 8 bytes: of method and path shape, which name the endpoint, then of the literal path, which
// tells guesses at names apart that have one shape.
func (i *Inspector) endpoint(r *decode.Request) []byte {
	shape := append(bytes.Clone(r.Method), ' ')
	for _, s := range recognise.Shape(r.Path) {
		shape = append(append(shape, '/'), s...)
	}
	t, _ := transform.Apply(transform.Percent, transform.Plain(r.Path))
	return append(i.key.Sum("endpoint", shape)[:half:half], i.key.Sum("path", t.Data)[:half]...)
}

// session is the keyed hash of the bearer token or session cookie; nil: there is none.
func (i *Inspector) session(r *decode.Request) []byte {
	for _, h := range r.Headers {
		if h.GetUnknown() || !strings.EqualFold(string(h.GetName()), "Authorization") {
			continue
		}
		if scheme, token, ok := bytes.Cut(h.GetValue(), []byte(" ")); ok && bytes.EqualFold(scheme, []byte("bearer")) && len(token) > 0 {
			return i.key.Sum("session", bytes.TrimSpace(token))[:half]
		}
	}
	for _, p := range r.Points {
		if p.Location == decode.Cookie && len(p.Value) > 0 && recognise.SessionCookie(p.Param) {
			return i.key.Sum("session", p.Value)[:half]
		}
	}
	return nil
}

// fit keeps a fact within its bound: what the windows need least goes first, and names are cut last.
func fit(f *detectionv1.Fact) *detectionv1.Fact {
	f.Host = strings.ToValidUTF8(f.GetHost(), "\uFFFD")
	for _, shrink := range []func(over int){
		func(int) { f.Types = f.GetTypes()[:min(1, len(f.GetTypes()))] },
		func(int) { f.Session = nil },
		func(over int) { f.Host = cut(f.GetHost(), over) },
		func(int) { f.Types = nil },
		func(over int) { f.Cluster = cut(f.GetCluster(), over) },
		func(over int) { f.Service = cut(f.GetService(), over) },
		func(over int) { f.ClientAddress = cut(f.GetClientAddress(), over) },
	} {
		over := proto.Size(f) - largestFact
		if over <= 0 {
			break
		}
		shrink(over)
	}
	return f
}

// cut takes bytes off the end without leaving half a character.
func cut(s string, over int) string { return strings.ToValidUTF8(s[:max(0, len(s)-over)], "") }
