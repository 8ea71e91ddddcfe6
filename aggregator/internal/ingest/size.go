package ingest

import (
	"google.golang.org/protobuf/proto"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

const (
	// overhead is what the frame of an exchange costs in memory: its fixed messages, and what the aggregator adds.
	overhead = 2 << 10
	// perPart is what each header, gap and piece of body costs beyond its bytes.
	perPart = 160
	// perAnomaly is a number's place in a list that grew by doubling.
	perAnomaly = 8
	// perShared is what the frame of a workload or a connection costs.
	perShared = 512
	// perBatch is what a batch itself costs until it is acknowledged.
	perBatch = 1 << 10
)

// cost is an upper bound of an exchange's memory, given its size on the wire: the bound on what is pending would be none if
// many small parts cost nothing.
func cost(x *trafficv1.Exchange, wire int64) int64 {
	request := x.GetRequest()
	parts := len(request.GetHeaders()) + len(request.GetTrailers()) + len(request.GetBody()) + len(x.GetResponse().GetHeaders()) + len(x.GetGaps())
	return overhead + wire + wire/4 + int64(parts)*perPart + int64(len(request.GetAnomalies()))*perAnomaly
}

func sharedCost(m proto.Message) int64 {
	size := int64(proto.Size(m))
	return perShared + size + size/4
}
