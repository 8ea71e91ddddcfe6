package ingest

import (
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
