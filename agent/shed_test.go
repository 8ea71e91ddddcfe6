package agent

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/budget"
)

// Half of the connections are left out in the kernel: whole ones, over TLS or not, and the sum closes over what was asked.
func TestLeftOutConnections(t *testing.T) {
	for name, dial := range map[string]func(*testing.T, string) *client{"plain": dialPlain, "tls": dialTLS} {
		t.Run(name, func(t *testing.T) {
			requireBPF(t)
			p, args := nginx(t, "", "", "")
			if name == "plain" {
				withoutTLS(t, p)
			}
			p.launch(t, exec.Command(find(t, "/usr/sbin/nginx", "nginx-light"), args...)).listening(t)
			s := &site{aggregator: &aggregator{came: make(chan struct{}, 1)}, address: p.address}
			s.filters = append(s.filters, p.filter)
			if s.run(t); name == "tls" {
				s.hooked(t)
			}
			const connections, each = 60, 4
			// It was taken, and is left out from here on.
			older := dial(t, p.address)
			require.NoError(t, older.ask(get("/older")))
			s.aggregator.await(t, "/older")
			shares := map[uint32]float64{}
			for pid := range s.agent.began() {
				shares[pid] = 0.5
			}
			require.NoError(t, s.agent.keepTo(budget.State{Step: 1, Request: 2 << 10, Response: 1 << 10, Shares: shares}))
			for i := range connections {
				c := dial(t, p.address)
				for j := range each {
					require.NoError(t, c.ask(get(fmt.Sprintf("/%d-%d", i, j))))
				}
				require.NoError(t, c.conn.Close())
			}
			require.NoError(t, older.ask(get("/older/2")))
			require.NoError(t, older.conn.Close())
			var made, acknowledged, lost, shed uint64
			require.Eventually(t, func() bool {
				made, acknowledged, lost, shed = 0, 0, 0, 0
				status := s.agent.status()
				for _, c := range status.GetCoverage() {
					made += c.GetExchanges()
					acknowledged += c.GetExchangesAcknowledged()
					lost += c.GetExchangesLost()
				}
				for _, l := range status.GetLosses() {
					if l.GetPlace() == "exchanges" && l.GetReason() == "shed" {
						shed += uint64(l.GetCount())
					}
				}
				return made == 2+connections*each && made == acknowledged+lost
			}, 20*time.Second, 20*time.Millisecond, "%d exchanges, %d acknowledged, %d lost", &made, &acknowledged, &lost)
			require.Equal(t, lost, shed)
			require.Greater(t, lost, uint64(connections*each/5))
			require.Greater(t, acknowledged, uint64(connections*each/5))
			require.Len(t, s.aggregator.targets(), int(acknowledged))
			targets := s.aggregator.targets()
			for i := range connections {
				for j := range each {
					require.Equal(t, targets[fmt.Sprintf("/%d-0", i)], targets[fmt.Sprintf("/%d-%d", i, j)], "a part of connection %d", i)
				}
			}
			for target := range targets {
				list := s.aggregator.of(target)
				last := list[len(list)-1]
				require.Equal(t, uint32(200), last.GetResponse().GetStatus())
				require.Empty(t, last.GetGaps())
			}
		})
	}
}
