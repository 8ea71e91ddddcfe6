package ship

import (
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/agent/internal/workload"
)

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

// cutting is what a batch is made of.
type cutting struct {
	list        []encoded
	names       []*workload.Workload
	connections []string
	refs        map[string]uint32
}

// encoded is an exchange on the wire, and which of the batch's workloads and connections it is of.
type encoded struct {
	*item
	ref, connection uint32
}

// take adds an exchange.
func (c *cutting) take(it *item, ref uint32) {
	connection := uint32(0)
	if it.connection != "" {
		if connection = c.refs[it.connection]; connection == 0 {
			c.connections = append(c.connections, it.connection)
			connection = uint32(len(c.connections))
			if c.refs == nil {
				c.refs = map[string]uint32{}
			}
			c.refs[it.connection] = connection
		}
	}
	c.list = append(c.list, encoded{it, ref, connection})
}

// reset forgets what was cut, and keeps the memory.
func (c *cutting) reset() {
	clear(c.list)
	clear(c.names)
	clear(c.connections)
	clear(c.refs)
	c.list, c.names, c.connections = c.list[:0], c.names[:0], c.connections[:0]
}

// encode writes a MirrorRequest with a batch. The exchanges are there already: only their references are added.
func (c *cutting) encode(sequence uint64, frames *framePool) *frame {
	size := protowire.SizeTag(batchSequence) + protowire.SizeVarint(sequence)
	for i := range c.list {
		e := &c.list[i]
		size += protowire.SizeTag(batchExchanges) + protowire.SizeBytes(len(e.wire)+e.refSize())
	}
	names := make([][]byte, len(c.names))
	for i, w := range c.names {
		// What cannot be encoded stays empty: the references of the others must hold.
		names[i], _ = proto.Marshal(w.Name)
		size += protowire.SizeTag(batchWorkloads) + protowire.SizeBytes(len(names[i]))
	}
	for _, connection := range c.connections {
		size += protowire.SizeTag(batchConnections) + protowire.SizeBytes(len(connection))
	}
	f := frames.get(protowire.SizeTag(requestBatch) + protowire.SizeBytes(size))
	out := f.bytes[:0]
	out = protowire.AppendTag(out, requestBatch, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(size))
	out = protowire.AppendTag(out, batchSequence, protowire.VarintType)
	out = protowire.AppendVarint(out, sequence)
	for i := range c.list {
		e := &c.list[i]
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
	for _, connection := range c.connections {
		out = protowire.AppendTag(out, batchConnections, protowire.BytesType)
		out = protowire.AppendString(out, connection)
	}
	f.bytes = out
	f.seal(frames)
	return f
}

func (e *encoded) refSize() int {
	size := protowire.SizeTag(exchangeRef) + protowire.SizeVarint(uint64(e.ref))
	if e.connection != 0 {
		size += protowire.SizeTag(exchangeConnection) + protowire.SizeVarint(uint64(e.connection))
	}
	return size
}

// codec is gRPC's own, and lets frames pass as they are.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(grpcproto.Name)} }

// Marshal is gRPC's.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(message); ok {
		return mem.BufferSlice{m.Buffer}, nil
	}
	return c.CodecV2.Marshal(v)
}
