package agent

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/selector"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// TLS that is not seen is told, with how much of it there was: here GnuTLS's.
func TestUnseenTLSIsTold(t *testing.T) {
	requireBPF(t)
	dir, address := place(t)
	p := &program{address: address, filter: selector.Filter{Executable: "gnutls-serv", Port: portOf(t, address)}, dir: dir}
	p.launch(t, exec.Command(find(t, "/usr/bin/gnutls-serv", "gnutls-bin"), "--http", "--quiet", "--port", fmt.Sprint(p.filter.Port),
		"--x509certfile", filepath.Join(dir, "cert"), "--x509keyfile", filepath.Join(dir, "key"))).listening(t)
	s := &site{aggregator: &aggregator{came: make(chan struct{}, 1)}, address: address, filters: []selector.Filter{p.filter}}
	s.run(t)
	c := dialTLS(t, address)
	require.NoError(t, c.ask(get("/unseen")))
	var told *statusv1.Coverage
	require.Eventually(t, func() bool {
		for _, one := range s.agent.status().GetCoverage() {
			told = one
		}
		return told.GetBytesSkipped() > 0
	}, 10*time.Second, 10*time.Millisecond)
	require.Len(t, told.GetTls(), 1)
	require.False(t, told.GetTls()[0].GetHooked())
	require.Contains(t, told.GetTls()[0].GetWhy(), "bytes came and went")
	require.Empty(t, s.aggregator.targets(), "and ciphertext is never taken for a request")
}

// The agent ends and another begins, while requests go on over kept connections: each connection is seen again, no exchange is told
// twice, and none of them is another one's.
func TestRestartUnderLoad(t *testing.T) {
	requireBPF(t)
	p := startNginx(t)
	s := mirror(t, p)
	stop, ended := make(chan struct{}), make(chan error, 4)
	var number atomic.Int64
	var clients []*client
	for range cap(ended) {
		c := dialTLS(t, p.address)
		clients = append(clients, c)
		go func() {
			for {
				select {
				case <-stop:
					ended <- nil
					return
				default:
					if err := c.ask(get(fmt.Sprintf("/%d/%d", c.port, number.Add(1)))); err != nil {
						ended <- err
						return
					}
				}
			}
		}()
	}
	var lives []*aggregator
	for life := range 3 {
		if life > 0 {
			s.stop()
			s = mirror(t, p)
		}
		lives = append(lives, s.aggregator)
		require.Eventually(t, func() bool { return len(peers(s.aggregator)) == len(clients) }, time.Minute, 10*time.Millisecond)
		require.Zero(t, s.agent.probe.Stats().TLSMismatches)
	}
	close(stop)
	for range cap(ended) {
		require.NoError(t, <-ended)
	}
	s.stop()
	ids := map[string]string{}
	for _, a := range lives {
		for _, e := range a.exchanges {
			target := string(e.GetRequest().GetTarget())
			if other, twice := ids[string(e.GetId())]; twice {
				require.Equal(t, other, target)
			}
			ids[string(e.GetId())] = target
			require.Equal(t, fmt.Sprint(e.GetConnection().GetPeer().GetPort()), filepath.Base(filepath.Dir(target)), "on its own connection")
		}
	}
}

// peers are the clients' ports of the exchanges that came with an answer.
func peers(a *aggregator) map[uint32]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	ports := map[uint32]bool{}
	for _, e := range a.exchanges {
		if e.GetPhase() == trafficv1.Phase_PHASE_CLOSED && e.GetResponse().GetStatus() == 200 {
			ports[e.GetConnection().GetPeer().GetPort()] = true
		}
	}
	return ports
}
