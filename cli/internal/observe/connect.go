package observe

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"

	"github.com/sidelight/sidelight/cli/internal/operator"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/tlsreload"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"

	"github.com/sidelight/sidelight/standalone"
)

// part is who must answer.
const part = "aggregator"

// dial connects to one aggregator with an operator's certificate.
type dial func(ctx context.Context, address string) (*grpc.ClientConn, error)

// withFiles uses a certificate of the caller's, read anew when it changes.
func withFiles(source *tlsreload.Source) dial {
	return func(_ context.Context, address string) (*grpc.ClientConn, error) {
		return rpc.Dial(rpc.ClientConfig{Address: address}, rpc.ClientDeps{TLS: source, Server: part})
	}
}

// withRunning asks `sidelight run` for a certificate, each time: one lasts a day, and another life has another authority.
func withRunning(dataDir string) dial {
	return func(ctx context.Context, address string) (*grpc.ClientConn, error) {
		credentials, err := standalone.FetchCredentials(ctx, dataDir)
		if err != nil {
			return nil, err
		}
		return operator.DialAt(credentials, part, address)
	}
}

// ofRunning asks `sidelight run` where its aggregator listens in this life.
func ofRunning(dataDir string) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		credentials, err := standalone.FetchCredentials(ctx, dataDir)
		if err != nil {
			return nil, err
		}
		address, ok := credentials.Addresses[part]
		if !ok {
			return nil, errors.New("the running Sidelight has no aggregator yet: try again when it is up")
		}
		return []string{address}, nil
	}
}

// tail opens streams over new connections.
func tail(connect dial, request *aggregatorv1.TailRequest) opener {
	return func(ctx context.Context, address string) (receiver, error) {
		conn, err := connect(ctx, address)
		if err != nil {
			return nil, err
		}
		stream, err := subscribe(ctx, conn, request)
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		return stream, nil
	}
}

// subscribe waits until the aggregator has noted that all from now on is wanted.
func subscribe(ctx context.Context, conn *grpc.ClientConn, request *aggregatorv1.TailRequest) (*subscription, error) {
	stream, err := aggregatorv1.NewTailServiceClient(conn).Tail(ctx, request)
	if err != nil {
		return nil, err
	}
	header, err := stream.Header()
	if err != nil {
		return nil, err
	}
	if header == nil {
		// It was refused; the reason comes in place of a message.
		if _, err := stream.Recv(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("aggregator %s answered without a header", conn.Target())
	}
	return &subscription{stream, conn}, nil
}

// subscription is a stream with a connection of its own.
type subscription struct {
	grpc.ServerStreamingClient[aggregatorv1.TailResponse]
	conn *grpc.ClientConn
}

func (s *subscription) Close() { _ = s.conn.Close() }
