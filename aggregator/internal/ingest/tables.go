package ingest

import (
	"bytes"

	"google.golang.org/protobuf/proto"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// maxWorkload is far over what names a workload; each exchange that is handed on carries a copy of it.
const maxWorkload = 16 << 10

// shared is a workload of the batch's table, checked once. Exchanges of one batch point to the same message, which is only
// read from then on.
type shared struct {
	workload *trafficv1.Workload
	size     int64
	// refused says why its exchanges are refused.
	refused string
}

func (st *stream) resolve(table []*trafficv1.Workload) []shared {
	out := make([]shared, len(table))
	for i, w := range table {
		out[i] = shared{workload: w, refused: st.claim(w), size: int64(proto.Size(w))}
		if out[i].refused == "" && out[i].size > maxWorkload {
			out[i].refused = "workload_too_big"
		}
	}
	return out
}

// claim checks that a workload is on the stream's node, and completes it. A reason says why it is refused.
func (st *stream) claim(w *trafficv1.Workload) string {
	switch w.GetNode() {
	case "":
		w.Node = st.node
	case st.node:
	default:
		// An agent speaks for its own node only.
		return "foreign_node"
	}
	w.Cluster = st.service.cfg.Cluster
	return ""
}

// place gives an exchange its workload, from the table or its own, and says by how much it grew on the wire.
func (st *stream) place(x *trafficv1.Exchange, table []shared) (grew int64, refused string) {
	ref := x.GetWorkloadRef()
	if ref == 0 {
		if x.Workload == nil {
			x.Workload = &trafficv1.Workload{}
		}
		return 0, st.claim(x.Workload)
	}
	if int64(ref) > int64(len(table)) || x.Workload != nil {
		return 0, "bad_workload_ref"
	}
	w := table[ref-1]
	x.Workload, x.WorkloadRef = w.workload, 0
	return w.size, w.refused
}

// tables is what the exchanges of a batch share.
type tables struct {
	workloads   []shared
	connections []*trafficv1.Connection
}

// connect gives an exchange its connection, and says by how much it grew on the wire.
func (t tables) connect(x *trafficv1.Exchange) (grew int64, refused string) {
	ref := x.GetConnectionRef()
	if ref == 0 {
		return 0, ""
	}
	if int64(ref) > int64(len(t.connections)) || x.Connection != nil {
		return 0, "bad_connection_ref"
	}
	x.Connection, x.ConnectionRef = t.connections[ref-1], 0
	return int64(proto.Size(x.Connection)), ""
}

// nameHost gives a request the authority that its first Host header says, where the agent left it out. The bytes are the
// header's own.
func nameHost(x *trafficv1.Exchange) (grew int64) {
	request := x.GetRequest()
	if len(request.GetAuthority()) > 0 {
		return 0
	}
	for _, h := range request.GetHeaders() {
		if bytes.EqualFold(h.GetName(), []byte("host")) {
			request.Authority = h.GetValue()
			return int64(len(request.GetAuthority())) + 3
		}
	}
	return 0
}
