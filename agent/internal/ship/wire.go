package ship

import (
	"bytes"

	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/agent/internal/workload"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// frame is a MirrorRequest as it goes on the wire.
type frame []byte

// encoded is an exchange on the wire, and which of the batch's workloads and connections it is of.
type encoded struct {
	wire            []byte
	ref, connection uint32
}

// Numbers of the fields in aggregator.proto and exchange.proto; a test reads what is written here through the messages.
const (
	requestBatch       protowire.Number = 2
	batchSequence      protowire.Number = 1
	batchExchanges     protowire.Number = 2
	batchWorkloads     protowire.Number = 3
	batchConnections   protowire.Number = 4
	exchangeRef        protowire.Number = 15
	exchangeConnection protowire.Number = 16
)

// encodeBatch writes a MirrorRequest with a batch. The exchanges are there already: only their references are added.
func encodeBatch(sequence uint64, list []encoded, workloads []*workload.Workload, connections []string) frame {
	size := protowire.SizeTag(batchSequence) + protowire.SizeVarint(sequence)
	for _, e := range list {
		size += protowire.SizeTag(batchExchanges) + protowire.SizeBytes(len(e.wire)+e.refSize())
	}
	names := make([][]byte, len(workloads))
	for i, w := range workloads {
		// What cannot be encoded stays empty: the references of the others must hold.
		names[i], _ = proto.Marshal(w.Name)
		size += protowire.SizeTag(batchWorkloads) + protowire.SizeBytes(len(names[i]))
	}
	for _, c := range connections {
		size += protowire.SizeTag(batchConnections) + protowire.SizeBytes(len(c))
	}
	out := make([]byte, 0, protowire.SizeTag(requestBatch)+protowire.SizeBytes(size))
	out = protowire.AppendTag(out, requestBatch, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(size))
	out = protowire.AppendTag(out, batchSequence, protowire.VarintType)
	out = protowire.AppendVarint(out, sequence)
	for _, e := range list {
		out = protowire.AppendTag(out, batchExchanges, protowire.BytesType)
		out = protowire.AppendVarint(out, uint64(len(e.wire)+e.refSize()))
		out = append(out, e.wire...)
		// Fields may stand in any order.
		out = protowire.AppendTag(out, exchangeRef, protowire.VarintType)
		out = protowire.AppendVarint(out, uint64(e.ref))
		if e.connection != 0 {
			out = protowire.AppendTag(out, exchangeConnection, protowire.VarintType)
			out = protowire.AppendVarint(out, uint64(e.connection))
		}
	}
	for _, name := range names {
		out = protowire.AppendTag(out, batchWorkloads, protowire.BytesType)
		out = protowire.AppendBytes(out, name)
	}
	for _, c := range connections {
		out = protowire.AppendTag(out, batchConnections, protowire.BytesType)
		out = protowire.AppendString(out, c)
	}
	return out
}

func (e encoded) refSize() int {
	size := protowire.SizeTag(exchangeRef) + protowire.SizeVarint(uint64(e.ref))
	if e.connection != 0 {
		size += protowire.SizeTag(exchangeConnection) + protowire.SizeVarint(uint64(e.connection))
	}
	return size
}

// encode writes an exchange without what others of its batch say too, and without what its headers say already. Its
// connection is given beside it, empty if the exchange has none.
func encode(e *trafficv1.Exchange) (wire []byte, connection string, err error) {
	c, request := e.GetConnection(), e.GetRequest()
	if c != nil {
		text, err := proto.Marshal(c)
		if err != nil {
			return nil, "", err
		}
		connection = string(text)
	}
	authority := request.GetAuthority()
	if len(authority) > 0 && bytes.Equal(authority, firstHost(request.GetHeaders())) {
		request.Authority = nil
		defer func() { request.Authority = authority }()
	}
	times := e.GetTimes()
	e.Connection, e.Times = nil, short(times)
	wire, err = proto.Marshal(e)
	e.Connection, e.Times = c, times
	return wire, connection, err
}

// short tells times by their distance from the start on the monotonic clock; the aggregator knows both clocks of the agent.
func short(t *trafficv1.Times) *trafficv1.Times {
	if t.GetRequestStart() == nil || t.GetRequestStartMonoNs() == 0 {
		return t
	}
	since := func(at *timestamppb.Timestamp) uint64 {
		if at == nil {
			return 0
		}
		return uint64(max(at.AsTime().Sub(t.GetRequestStart().AsTime()), 1))
	}
	return &trafficv1.Times{
		RequestStartMonoNs: t.GetRequestStartMonoNs(), RequestTookNs: since(t.GetRequestEnd()), ResponseAfterNs: since(t.GetResponseStart()),
	}
}

func firstHost(headers []*trafficv1.Header) []byte {
	for _, h := range headers {
		if bytes.EqualFold(h.GetName(), []byte("host")) {
			return h.GetValue()
		}
	}
	return nil
}

// codec is gRPC's own, and lets frames pass as they are.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(grpcproto.Name)} }

// Marshal is gRPC's.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(frame); ok {
		return mem.BufferSlice{mem.SliceBuffer(f)}, nil
	}
	return c.CodecV2.Marshal(v)
}
