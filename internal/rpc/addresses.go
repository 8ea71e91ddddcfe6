package rpc

import (
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// several is the scheme of targets that are a list of addresses: for hosts without a name service.
const several = "sidelight-several"

// target turns a configured address into what gRPC dials, and how it resolves it.
func target(address string) (string, []grpc.DialOption, error) {
	if !strings.Contains(address, ",") {
		if !strings.Contains(address, ":///") && !strings.HasPrefix(address, "unix:") {
			address = "dns:///" + address
		}
		return address, nil, nil
	}
	state := resolver.State{}
	for one := range strings.SplitSeq(address, ",") {
		one = strings.TrimSpace(one)
		if _, _, err := net.SplitHostPort(one); err != nil {
			return "", nil, fmt.Errorf("address %q: want host:port in each place of the list", one)
		}
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: one}}})
	}
	builder := manual.NewBuilderWithScheme(several)
	builder.InitialState(state)
	return several + ":///all", []grpc.DialOption{grpc.WithResolvers(builder)}, nil
}
