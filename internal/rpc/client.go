package rpc

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/leastrequest" // the balancers that service configurations name
	_ "google.golang.org/grpc/balancer/ringhash"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/sidelight/sidelight/internal/tlsreload"
)

// ClientConfig says where a part is: "host:port" or "dns:///host:port" to spread over all addresses of the name, or several
// "a:1,b:2" to spread over the list.
type ClientConfig struct {
	Address string `yaml:"address"`
}

// Validate says what is missing; key is the configuration's name for it.
func (c ClientConfig) Validate(key string) error {
	if c.Address == "" {
		return fmt.Errorf("%s.address is empty: want host:port", key)
	}
	if _, _, err := target(c.Address); err != nil {
		return fmt.Errorf("%s.%w", key, err)
	}
	return nil
}

// ClientDeps is what a client works with.
type ClientDeps struct {
	TLS *tlsreload.Source
	// Server is who must answer.
	Server Identity
	// HashHeader names a request header: equal values go to the same server, as long as it lives. Without one, the server
	// with the fewest calls under way takes a call.
	HashHeader string
	Extra      []grpc.DialOption
}

// leastBusy balances by calls under way.
const leastBusy = `{"least_request_experimental": {"choiceCount": 2}}, {"round_robin": {}}`

// serviceConfig names the balancer, and tries again what no server has begun to handle.
func serviceConfig(hashHeader string) string {
	balancer := leastBusy
	if hashHeader != "" {
		balancer = fmt.Sprintf(`{"ring_hash_experimental": {"requestHashHeader": %q}}`, hashHeader)
	}
	return `{
  "loadBalancingConfig": [` + balancer + `],
  "methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 3, "retryableStatusCodes": ["UNAVAILABLE"]}}]
}`
}

// Dial makes a connection that connects when it is first used.
func Dial(cfg ClientConfig, deps ClientDeps) (*grpc.ClientConn, error) {
	if cfg.Address == "" {
		return nil, errors.New("no address to connect to")
	}
	address, resolvers, err := target(cfg.Address)
	if err != nil {
		return nil, err
	}
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(deps.TLS.Client(deps.Server))),
		grpc.WithDefaultServiceConfig(serviceConfig(deps.HashHeader)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveEvery, Timeout: 10 * time.Second, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(defaultMaxMessage), grpc.MaxCallSendMsgSize(defaultMaxMessage)),
		// Links between parts never go through a proxy of the environment.
		grpc.WithNoProxy(),
	}, append(resolvers, deps.Extra...)...)
	conn, err := grpc.NewClient(address, options...)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s at %s: %w", deps.Server, cfg.Address, err)
	}
	return conn, nil
}
