package tail

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"

	"github.com/sidelight/sidelight/internal/losses"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve is a real server and client, since what a slow reader does is up to their flow control.
func serve(t *testing.T, patience time.Duration) (*Hub, *losses.Losses, aggregatorv1.TailServiceClient) {
	t.Helper()
	hub, lost := NewHub(), losses.NewLosses(nil, "aggregator")
	service := NewService(hub, lost)
	service.patience = patience
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	aggregatorv1.RegisterTailServiceServer(server, service)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()); server.Stop(); require.NoError(t, <-ended) })
	return hub, lost, aggregatorv1.NewTailServiceClient(conn)
}

func open(t *testing.T, client aggregatorv1.TailServiceClient, request *aggregatorv1.TailRequest) grpc.ServerStreamingClient[aggregatorv1.TailResponse] {
	t.Helper()
	stream, err := client.Tail(t.Context(), request)
	require.NoError(t, err)
	_, err = stream.Header()
	require.NoError(t, err)
	return stream
}

func TestAReaderThatTakesNothingIsEnded(t *testing.T) {
	t.Parallel()
	hub, lost, client := serve(t, time.Second)
	stuck := open(t, client, &aggregatorv1.TailRequest{})
	quiet := open(t, client, &aggregatorv1.TailRequest{AttacksOnly: true})
	live := open(t, client, &aggregatorv1.TailRequest{})
	ends := make(chan error, 1)
	go func() {
		for {
			if _, err := live.Recv(); err != nil {
				ends <- err
				return
			}
		}
	}()
	require.Eventually(t, func() bool {
		hub.Publish(summaries(0, 1000, false))
		return hub.Readers() == 2
	}, 10*time.Second, 10*time.Millisecond, "it was not ended")
	require.Equal(t, []losses.Loss{{Place: "tail", Reason: "slow_reader", Count: 1}}, lost.Snapshot())
	for {
		if _, err := stuck.Recv(); err != nil {
			require.Equal(t, codes.ResourceExhausted, status.Code(err), "what was under way comes before the reason")
			break
		}
	}
	// For whom nothing waits, and who reads, goes on.
	hub.Publish(summaries(0, 1, true))
	m, err := quiet.Recv()
	require.NoError(t, err)
	require.Len(t, m.GetSummary().GetHits(), 1)
	require.Empty(t, ends)
	hub.Stop()
	require.Equal(t, codes.Unavailable, status.Code(<-ends))
}

// A reader that stands still must not hold up a stop.
func TestAStopWaitsForNoReader(t *testing.T) {
	t.Parallel()
	hub, _, client := serve(t, time.Hour)
	stuck := open(t, client, &aggregatorv1.TailRequest{})
	for range 20 {
		hub.Publish(summaries(0, 1000, false))
	}
	hub.Stop()
	require.Eventually(t, func() bool { return hub.Readers() == 0 }, 10*time.Second, time.Millisecond)
	for {
		if _, err := stuck.Recv(); err != nil {
			require.Equal(t, codes.Unavailable, status.Code(err))
			break
		}
	}
}
