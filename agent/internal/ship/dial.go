package ship

import "google.golang.org/grpc"

// DialOptions suit a connection whose one direction is batches, and the other acknowledgements of a few bytes: with a fixed window
// gRPC does not measure the path anew, by a ping and its answer, for each of them.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window)}
}

// window is far over what acknowledgements and a policy take.
const window = 1 << 20
