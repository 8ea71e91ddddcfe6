package ship

import (
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/agent/internal/workload"
)

// frame is a MirrorRequest as it goes on the wire.
type frame []byte

// encoded is an exchange on the wire, and which of the batch's workloads it is of.
type encoded struct {
	wire []byte
	ref  uint32
}

// Numbers of the fields in aggregator.proto and exchange.proto; a test reads what is written here through the messages.
const (
	requestBatch   protowire.Number = 2
	batchSequence  protowire.Number = 1
	batchExchanges protowire.Number = 2
	batchWorkloads protowire.Number = 3
	exchangeRef    protowire.Number = 15
)

// encodeBatch writes a MirrorRequest with a batch. The exchanges are there already: only their references are added.
func encodeBatch(sequence uint64, list []encoded, workloads []*workload.Workload) frame {
	size := protowire.SizeTag(batchSequence) + protowire.SizeVarint(sequence)
	for _, e := range list {
		size += protowire.SizeTag(batchExchanges) + protowire.SizeBytes(len(e.wire)+refSize(e.ref))
	}
	names := make([][]byte, len(workloads))
	for i, w := range workloads {
		// What cannot be encoded stays empty: the references of the others must hold.
		names[i], _ = proto.Marshal(w.Name)
		size += protowire.SizeTag(batchWorkloads) + protowire.SizeBytes(len(names[i]))
	}
	out := make([]byte, 0, protowire.SizeTag(requestBatch)+protowire.SizeBytes(size))
	out = protowire.AppendTag(out, requestBatch, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(size))
	out = protowire.AppendTag(out, batchSequence, protowire.VarintType)
	out = protowire.AppendVarint(out, sequence)
	for _, e := range list {
		out = protowire.AppendTag(out, batchExchanges, protowire.BytesType)
		out = protowire.AppendVarint(out, uint64(len(e.wire)+refSize(e.ref)))
		out = append(out, e.wire...)
		// Fields may stand in any order.
		out = protowire.AppendTag(out, exchangeRef, protowire.VarintType)
		out = protowire.AppendVarint(out, uint64(e.ref))
	}
	for _, name := range names {
		out = protowire.AppendTag(out, batchWorkloads, protowire.BytesType)
		out = protowire.AppendBytes(out, name)
	}
	return out
}

func refSize(ref uint32) int {
	return protowire.SizeTag(exchangeRef) + protowire.SizeVarint(uint64(ref))
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
