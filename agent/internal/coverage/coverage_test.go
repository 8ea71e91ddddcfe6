package coverage

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/agent/internal/selector"
	"github.com/sidelight/sidelight/agent/internal/target"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// host is the processes that can be looked up.
type host map[uint32]target.Selected

func (h host) Lookup(pid uint32) (target.Selected, bool) {
	p, ok := h[pid]
	return p, ok
}

func process(pid uint32, start uint64, service string) target.Selected {
	return target.Selected{Process: selector.Process{PID: pid, StartTime: start, Exe: "/usr/sbin/nginx"}, Why: "a filter holds", Service: service}
}

type line struct {
	pid      uint32
	mirrored bool
	seen     uint64
}

func lines(s *statusv1.PartStatus) []line {
	var list []line
	for _, c := range s.GetCoverage() {
		list = append(list, line{c.GetWorkload().GetProcess().GetPid(), c.GetMirrored(), c.GetBytesSeen()})
	}
	return list
}

// blind sees nothing beside plain sockets.
type blind struct{}

func (blind) TLS(uint32) []*statusv1.TlsCoverage      { return nil }
func (blind) Usage(uint32) (u probe.Usage, uses bool) { return u, false }

func TestCountsFollowTheProcess(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	h := host{3: process(3, 30, "shop")}
	r := New("c", "n", h, blind{})
	r.now = func() time.Time { return now }
	r.Selected([]target.Selected{process(1, 10, "shop"), process(2, 20, "shop")})
	first := r.Workload(1)
	require.Same(t, first, r.Workload(1), "shared: a batch names it once")
	first.BytesSeen.Add(5)

	// A child that the kernel mirrors already and the selection has not seen.
	child := r.Workload(3)
	child.BytesSeen.Add(7)
	require.Equal(t, []line{{1, true, 5}, {2, true, 0}, {3, true, 7}}, lines(r.Status(Facts{})))

	// It is selected by now, another one is gone, and its number is used again.
	r.Selected([]target.Selected{process(2, 99, "shop"), process(3, 30, "shop"), process(1, 10, "shop")})
	require.Same(t, first, r.Workload(1))
	require.Same(t, child, r.Workload(3))
	require.Equal(t, []line{{2, true, 0}, {3, true, 7}, {1, true, 5}, {2, false, 0}}, lines(r.Status(Facts{})))

	// What has ended is still told for a while, and comes back with its counts.
	r.Selected(nil)
	require.Len(t, lines(r.Status(Facts{})), 4)
	r.Selected([]target.Selected{process(1, 10, "shop")})
	require.Same(t, first, r.Workload(1))
	now = now.Add(2 * pastFor)
	require.Equal(t, []line{{1, true, 5}}, lines(r.Status(Facts{})))
}

func TestUnknownProcess(t *testing.T) {
	t.Parallel()
	r := New("c", "n", host{}, blind{})
	w := r.Workload(4711)
	require.Same(t, w, r.Workload(4711))
	require.Equal(t, uint32(4711), w.Name.GetProcess().GetPid())
	require.Equal(t, "n", w.Name.GetNode())
	for pid := range uint32(3 * pastMost) {
		r.Workload(10_000 + pid)
	}
	r.Selected(nil)
	require.Len(t, lines(r.Status(Facts{})), pastMost)
}

// A file may be called anything; what goes on the wire is text.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	p := process(1, 10, "")
	p.Exe, p.Cgroup, p.Unit = "/tmp/\xff\xfe", "/\xc0", "\xf5.service"
	r := New("c", "n", host{}, blind{})
	r.Selected([]target.Selected{p})
	_, err := proto.Marshal(r.Workload(1).Name)
	require.NoError(t, err)
	_, err = proto.Marshal(r.Status(Facts{}))
	require.NoError(t, err)
}

func TestStatus(t *testing.T) {
	t.Parallel()
	r := New("c", "n", host{}, blind{})
	r.Selected([]target.Selected{process(1, 10, "shop")})
	s := r.Status(Facts{Started: time.Unix(1, 0), PolicySequence: 7, PolicyRefused: "because"})
	require.Nil(t, s.GetWatchedFrom(), "nothing is watched yet")
	require.Equal(t, uint64(7), s.GetPolicySequence())
	require.Equal(t, "because", s.GetPolicyRefusedBecause())
	w := r.Workload(1)
	w.BytesSkipped.Add(1)
	w.BytesLost.Add(2)
	w.Exchanges.Add(5)
	w.Acknowledged.Add(3)
	w.Lost.Add(2)
	s = r.Status(Facts{Watched: time.Unix(2, 0)})
	require.Equal(t, int64(2), s.GetWatchedFrom().GetSeconds())
	c := s.GetCoverage()[0]
	require.Equal(t, []uint64{1, 2, 5, 3, 2}, []uint64{c.GetBytesSkipped(), c.GetBytesLost(), c.GetExchanges(), c.GetExchangesAcknowledged(), c.GetExchangesLost()})
}
