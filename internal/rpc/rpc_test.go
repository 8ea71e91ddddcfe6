package rpc_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

// The service under test is written by hand: internal knows no contract of a part.
var testService = grpc.ServiceDesc{
	ServiceName: "test.Service", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{method("Read"), method("Write"), method("Unruled"), method("Panic")},
}

func method(name string) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		var request healthv1.HealthCheckRequest
		if err := decode(&request); err != nil {
			return nil, err
		}
		return interceptor(ctx, &request, &grpc.UnaryServerInfo{FullMethod: "/test.Service/" + name}, func(context.Context, any) (any, error) {
			if name == "Panic" {
				panic("secret of a request")
			}
			return &healthv1.HealthCheckResponse{}, nil
		})
	}}
}

func serve(t *testing.T, source *tlsreload.Source) *rpc.Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := rpc.NewServer(rpc.ServerConfig{}, rpc.ServerDeps{
		Log: testkit.Quiet(), TLS: source, Listener: listener, Register: func(g *grpc.Server) { g.RegisterService(&testService, nil) },
		Rules: []rpc.Rule{
			{Method: "/test.Service/Read", Allow: []rpc.Identity{"processor", "operator"}},
			{Method: "/test.Service/Write", Allow: []rpc.Identity{"processor"}},
			{Method: "/test.Service/Panic", Allow: []rpc.Identity{"processor"}},
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	return server
}

func TestAllowList(t *testing.T) {
	t.Parallel()
	pki := testpki.TLS(t, append(rpc.Parts(), "stranger")...)
	server := serve(t, pki["aggregator"])
	allowed := map[string][]string{
		"/test.Service/Read": {"processor", "operator"}, "/test.Service/Write": {"processor"}, "/test.Service/Unruled": {},
		healthv1.Health_Check_FullMethodName: rpc.Parts(),
	}
	for _, identity := range append(rpc.Parts(), "stranger") {
		conn, err := rpc.Dial(rpc.ClientConfig{Address: server.Addr()}, rpc.ClientDeps{TLS: pki[identity], Server: "aggregator"})
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		for name, who := range allowed {
			want := codes.PermissionDenied
			for _, w := range who {
				if w == identity {
					want = codes.OK
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			err := conn.Invoke(ctx, name, &healthv1.HealthCheckRequest{}, &healthv1.HealthCheckResponse{})
			cancel()
			require.Equal(t, want, status.Code(err), "%s as %s: %v", name, identity, err)
		}
	}
	require.NotZero(t, server.Refused())
}

func TestPanicIsOneCallsError(t *testing.T) {
	t.Parallel()
	pki := testpki.TLS(t, "aggregator", "processor")
	server := serve(t, pki["aggregator"])
	conn, err := rpc.Dial(rpc.ClientConfig{Address: server.Addr()}, rpc.ClientDeps{TLS: pki["processor"], Server: "aggregator"})
	require.NoError(t, err)
	defer conn.Close()
	err = conn.Invoke(t.Context(), "/test.Service/Panic", &healthv1.HealthCheckRequest{}, &healthv1.HealthCheckResponse{})
	require.Equal(t, codes.Internal, status.Code(err))
	require.NotContains(t, err.Error(), "secret")
	require.NoError(t, conn.Invoke(t.Context(), "/test.Service/Read", &healthv1.HealthCheckRequest{}, &healthv1.HealthCheckResponse{}))
}

func TestWrongServerIsRefused(t *testing.T) {
	t.Parallel()
	pki := testpki.TLS(t, "aggregator", "processor")
	server := serve(t, pki["aggregator"])
	conn, err := rpc.Dial(rpc.ClientConfig{Address: server.Addr()}, rpc.ClientDeps{TLS: pki["processor"], Server: "cloudsync"})
	require.NoError(t, err)
	defer conn.Close()
	err = conn.Invoke(t.Context(), "/test.Service/Read", &healthv1.HealthCheckRequest{}, &healthv1.HealthCheckResponse{})
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.ErrorContains(t, err, "cloudsync", "it says who was wanted")
}
