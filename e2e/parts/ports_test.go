package parts

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// listening gives the TCP ports of a process that others can reach, as the kernel says: none is asked for by name.
func (p *process) listening(t testing.TB) []int {
	t.Helper()
	var ports []int
	for _, table := range []string{"tcp", "tcp6"} {
		file, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", p.pid(), table))
		require.NoError(t, err)
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			if len(fields) < 4 || fields[3] != "0A" {
				continue
			}
			address, portHex, _ := strings.Cut(fields[1], ":")
			port, err := hex.DecodeString(portHex)
			require.NoError(t, err)
			// 127.0.0.1 is one's own: the operators' port.
			if address != "0100007F" {
				ports = append(ports, int(port[0])<<8|int(port[1]))
			}
		}
		require.NoError(t, file.Close())
	}
	slices.Sort(ports)
	return ports
}

// handshake tells whether a server lets a client in: the first word of an HTTP/2 server is its settings.
func (f *fleet) handshake(address string, cfg *tls.Config) error {
	ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second)
	defer cancel()
	raw, err := f.network.hub.dial(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("the port is not open: %w", err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(5 * time.Second))
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		return refused{err}
	}
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		return refused{err}
	}
	if _, err := conn.Read(make([]byte, 9)); err != nil {
		return refused{err}
	}
	return nil
}

// refused is a refusal by the other side, not a port that is shut.
type refused struct{ error }

func TestNoStrangerGetsIn(t *testing.T) {
	f := newFleet(t, options{})
	foreign := newAuthority(t, time.Hour)
	foreign.bundle = f.authority.bundle // it trusts the fleet, which does not trust it
	ours := map[string][]int{}
	for _, p := range f.processes {
		if service := f.services[p.name]; service != "" {
			ours[p.name] = p.listening(t)
		}
	}
	require.Equal(t, map[string][]int{
		"agent": nil, "aggregator-1": {7412}, "aggregator-2": {7412}, "processor-1": {7413}, "processor-2": {7413},
		"apidiscovery": {7414}, "cloudsync": {7415}, "console": {8443, 8444},
	}, ours, "a part listens where it should not, or not where it should")

	for _, p := range f.processes {
		service := f.services[p.name]
		for _, port := range ours[p.name] {
			address := fmt.Sprintf("%s:%d", p.host.address, port)
			t.Run(fmt.Sprintf("%s %d", p.name, port), func(t *testing.T) {
				old := f.authority.client(leaf{service: "aggregator"}, service)
				old.MaxVersion = tls.VersionTLS12
				require.ErrorAs(t, f.handshake(address, old), &refused{}, "TLS 1.2")
				require.False(t, f.plain(address), "plain HTTP is answered")
				if service == "console" {
					// People and installations prove themselves by sessions and tokens, not by certificates.
					require.NoError(t, f.handshake(address, f.authority.trusting(service)))
					return
				}
				require.NoError(t, f.handshake(address, f.authority.client(leaf{service: "operator"}, service)), "the way in that must work")
				require.ErrorAs(t, f.handshake(address, f.authority.trusting(service)), &refused{}, "no certificate")
				require.ErrorAs(t, f.handshake(address, foreign.client(leaf{service: "operator"}, service)), &refused{}, "another authority")
				require.ErrorAs(t, f.handshake(address, f.authority.client(leaf{service: "operator", validity: -time.Second}, service)), &refused{}, "expired")
			})
		}
	}
}

// plain tells whether a port answers without TLS.
func (f *fleet) plain(address string) bool {
	conn, err := f.network.hub.dial(f.t.Context(), "tcp", address)
	require.NoError(f.t, err)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return false
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return false
	}
	// Go's own HTTPS server says in plain that it wants TLS, and no more.
	return answer.StatusCode != http.StatusBadRequest
}
