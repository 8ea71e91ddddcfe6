package rpc

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/leastrequest" // the balancer that the service configuration names
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/sidelight/sidelight/internal/tlsreload"
)

// ClientConfig says where a part is: "host:port", or "dns:///host:port" to spread over all addresses of the name.
type ClientConfig struct {
	Address string `yaml:"address"`
}

// Validate says what is missing; key is the configuration's name for it.
func (c ClientConfig) Validate(key string) error {
	if c.Address == "" {
		return fmt.Errorf("%s.address is empty: want host:port", key)
	}
	return nil
}

// ClientDeps is what a client works with.
type ClientDeps struct {
	TLS *tlsreload.Source
	// Server is who must answer.
	Server Identity
	Extra  []grpc.DialOption
}

// serviceConfig balances by calls under way, and tries again what no server has begun to handle.
const serviceConfig = `{
  "loadBalancingConfig": [{"least_request_experimental": {"choiceCount": 2}}, {"round_robin": {}}],
  "methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 3, "retryableStatusCodes": ["UNAVAILABLE"]}}]
}`

// Dial makes a connection that connects when it is first used.
func Dial(cfg ClientConfig, deps ClientDeps) (*grpc.ClientConn, error) {
	if cfg.Address == "" {
		return nil, errors.New("no address to connect to")
	}
	target := cfg.Address
	if !strings.Contains(target, ":///") && !strings.HasPrefix(target, "unix:") {
		target = "dns:///" + target
	}
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(deps.TLS.Client(deps.Server))),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveEvery, Timeout: 10 * time.Second, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(defaultMaxMessage), grpc.MaxCallSendMsgSize(defaultMaxMessage)),
		// Links between parts never go through a proxy of the environment.
		grpc.WithNoProxy(),
	}, deps.Extra...)
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s at %s: %w", deps.Server, cfg.Address, err)
	}
	return conn, nil
}
