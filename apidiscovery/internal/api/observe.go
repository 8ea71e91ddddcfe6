// Package api serves apidiscovery's RPCs: observations in, what was learned and the inventory out.
package api

import (
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apidiscoveryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/apidiscovery/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"

	"github.com/sidelight/sidelight/apidiscovery/internal/inventory"
)

// counter takes observations and tells what was learned from them.
type counter interface {
	Add(batch []*inventoryv1.Observation)
	Learned(key inventory.HostKey, after uint64) (*inventoryv1.Learned, uint64)
}

var _ counter = (*inventory.Inventory)(nil)

// Observations serves ObservationService.
//
// A batch is acknowledged when it is counted in memory; a flush every second brings that to Postgres. A crash loses at most
// what was counted since the last flush: the next life sees that this one did not end in order and counts it.
type Observations struct {
	apidiscoveryv1.UnimplementedObservationServiceServer
	counter counter
	// ready says why nothing can be counted yet.
	ready func() error
	// teachEvery paces what is sent to one processor of one host.
	teachEvery time.Duration
	// closing ends the streams: their processors come back to another instance, or later.
	closing <-chan struct{}
}

// NewObservations makes the service; its streams end with `closing`.
func NewObservations(closing <-chan struct{}, c counter, ready func() error, teachEvery time.Duration) *Observations {
	return &Observations{counter: c, ready: ready, teachEvery: teachEvery, closing: closing}
}

type observeStream = grpc.BidiStreamingServer[apidiscoveryv1.ObserveRequest, apidiscoveryv1.ObserveResponse]

type received struct {
	request *apidiscoveryv1.ObserveRequest
	err     error
}

// Observe counts batches, acknowledges each, and teaches what changed.
func (s *Observations) Observe(stream observeStream) error {
	if err := s.ready(); err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	requests := make(chan received)
	go receive(stream, requests)
	pupil := pupil{counter: s.counter, knows: map[inventory.HostKey]uint64{}}
	// What is flushed or learned through other streams is told too, while this one is silent.
	ticker := time.NewTicker(s.teachEvery)
	defer ticker.Stop()
	for {
		select {
		case r := <-requests:
			if errors.Is(r.err, io.EOF) {
				return nil
			}
			if r.err != nil {
				return r.err
			}
			s.counter.Add(r.request.GetObservations())
			answer := &apidiscoveryv1.ObserveResponse{Message: &apidiscoveryv1.ObserveResponse_Acknowledged{Acknowledged: r.request.GetSequence()}}
			if err := stream.Send(answer); err != nil {
				return err
			}
			pupil.meet(r.request.GetObservations())
		case <-ticker.C:
			if err := pupil.teach(stream); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-s.closing:
			return status.Error(codes.Unavailable, "apidiscovery stops: send the rest again")
		}
	}
}

// receive ends with the stream, which ends with its handler.
func receive(stream observeStream, to chan<- received) {
	for {
		request, err := stream.Recv()
		select {
		case to <- received{request, err}:
		case <-stream.Context().Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// pupil is one stream, with what it was taught.
type pupil struct {
	counter counter
	// knows is the last change of each host that was taught.
	knows map[inventory.HostKey]uint64
}

// mostHosts bounds what one stream is taught about.
const mostHosts = 1024

// meet remembers which hosts a processor sees: those it is taught about.
func (p *pupil) meet(batch []*inventoryv1.Observation) {
	for _, o := range batch {
		key := inventory.HostOf(o)
		if _, known := p.knows[key]; !known && len(p.knows) < mostHosts {
			p.knows[key] = 0
		}
	}
}

func (p *pupil) teach(stream observeStream) error {
	for key, last := range p.knows {
		learned, changed := p.counter.Learned(key, last)
		if learned == nil {
			continue
		}
		p.knows[key] = changed
		if err := stream.Send(&apidiscoveryv1.ObserveResponse{Message: &apidiscoveryv1.ObserveResponse_Learned{Learned: learned}}); err != nil {
			return err
		}
	}
	return nil
}
