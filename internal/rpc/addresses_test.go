package rpc_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
)

// met notes which server took each call.
type met struct {
	mu    sync.Mutex
	calls map[string]map[string]int
}

func (m *met) note(server, client string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.calls[client] == nil {
		m.calls[client] = map[string]int{}
	}
	m.calls[client][server]++
}

func serveMany(t *testing.T, n int, header string, m *met) (string, *testpki.CA) {
	t.Helper()
	ca := testpki.New(t)
	addresses := ""
	for i := range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		service := grpc.ServiceDesc{ServiceName: "test.Service", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
			MethodName: "Call", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				var request healthv1.HealthCheckRequest
				if err := decode(&request); err != nil {
					return nil, err
				}
				caller, _ := peer.FromContext(ctx)
				client := caller.LocalAddr.String()
				if incoming, ok := metadata.FromIncomingContext(ctx); ok && len(incoming.Get(header)) > 0 {
					client = incoming.Get(header)[0]
				}
				m.note(fmt.Sprint(i), client)
				return &healthv1.HealthCheckResponse{}, nil
			},
		}}}
		server := rpc.NewServer(rpc.ServerConfig{}, rpc.ServerDeps{
			Log: testkit.Quiet(), TLS: ca.Source(t, "processor"), Listener: listener,
			Register: func(g *grpc.Server) { g.RegisterService(&service, nil) },
			Rules:    []rpc.Rule{{Method: "/test.Service/", Allow: []rpc.Identity{"processor"}}},
		})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- server.Run(ctx) }()
		t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
		if addresses != "" {
			addresses += ","
		}
		addresses += listener.Addr().String()
	}
	return addresses, ca
}

func TestCallsSpreadOverAListOfAddresses(t *testing.T) {
	t.Parallel()
	m := &met{calls: map[string]map[string]int{}}
	addresses, ca := serveMany(t, 2, "none", m)
	conn, err := rpc.Dial(rpc.ClientConfig{Address: addresses}, rpc.ClientDeps{TLS: ca.Source(t, "processor"), Server: "processor"})
	require.NoError(t, err)
	defer conn.Close()
	for len(m.calls) < 2 {
		require.NoError(t, conn.Invoke(t.Context(), "/test.Service/Call", &healthv1.HealthCheckRequest{}, &healthv1.HealthCheckResponse{}))
		require.NoError(t, t.Context().Err(), "one server took all calls")
	}
}

func TestEqualHeadersMeetTheSameServer(t *testing.T) {
	t.Parallel()
	const header = "sidelight-client"
	m := &met{calls: map[string]map[string]int{}}
	addresses, ca := serveMany(t, 2, header, m)
	// Two callers, as two replicas are: the owner must be the same for both.
	for range 2 {
		conn, err := rpc.Dial(rpc.ClientConfig{Address: addresses}, rpc.ClientDeps{TLS: ca.Source(t, "processor"), Server: "processor", HashHeader: header})
		require.NoError(t, err)
		defer conn.Close()
		for i := range 200 {
			ctx := metadata.AppendToOutgoingContext(t.Context(), header, fmt.Sprintf("client-%d", i%50))
			require.NoError(t, conn.Invoke(ctx, "/test.Service/Call", &healthv1.HealthCheckRequest{}, &healthv1.HealthCheckResponse{}, grpc.WaitForReady(true)))
		}
	}
	owned := map[string]int{}
	for client, servers := range m.calls {
		require.Len(t, servers, 1, "%s met %v", client, servers)
		for server := range servers {
			owned[server]++
		}
	}
	require.Len(t, owned, 2, "both own some clients: %v", owned)
}

func TestABadList(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, rpc.ClientConfig{Address: "a:1,b"}.Validate("peers"), `peers.address "b"`)
	require.NoError(t, rpc.ClientConfig{Address: "a:1, b:2"}.Validate("peers"))
}
