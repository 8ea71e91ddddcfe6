package rpc

import (
	"context"
	"fmt"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidelight/sidelight/internal/logkey"
)

// recoverUnary turns a panic into an error of that one call. What panicked is logged by type and place alone: its value
// may hold bytes of the traffic.
func (s *Server) recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (_ any, err error) {
	defer s.caught(info.FullMethod, &err)
	return next(ctx, req)
}

func (s *Server) recoverStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer s.caught(info.FullMethod, &err)
	return next(srv, stream)
}

func (s *Server) caught(method string, err *error) {
	p := recover()
	if p == nil {
		return
	}
	s.deps.Log.Error("a call panicked", logkey.Method, method, "panic_type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
	*err = status.Error(codes.Internal, "internal error, see the part's log")
}
