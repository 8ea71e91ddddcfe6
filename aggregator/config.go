package aggregator

import (
	"errors"
	"fmt"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logging"
	"github.com/sidelight/sidelight/internal/opsport"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/tlsreload"

	"github.com/sidelight/sidelight/aggregator/internal/clientaddr"
)

// Config is the aggregator's whole configuration.
type Config struct {
	Log logging.Config   `yaml:"log"`
	RPC rpc.ServerConfig `yaml:"rpc"`
	TLS tlsreload.Config `yaml:"tls"`
	Ops opsport.Config   `yaml:"ops"`
	// Cluster is set on every exchange.
	Cluster string `yaml:"cluster"`
	// Instance names this replica; empty: the host's name.
	Instance  string           `yaml:"instance"`
	Processor rpc.ClientConfig `yaml:"processor"`
	Cloudsync rpc.ClientConfig `yaml:"cloudsync"`
	// TrustedProxies may tell the client's address in one of ForwardedHeaders. A policy may name more.
	TrustedProxies config.CIDRs `yaml:"trusted_proxies"`
	// ForwardedHeaders are those that count, the first that a request carries decides. Leave out what your proxies pass
	// through without setting it: behind one that sets only X-Real-IP, a client could lie in X-Forwarded-For.
	ForwardedHeaders []string `yaml:"forwarded_headers"`
	// MaxPendingBytes bounds what was read and is not judged; when it is reached, agents are held up.
	MaxPendingBytes config.ByteSize `yaml:"max_pending_bytes"`
}

// DefaultConfig listens on loopback and expects its peers there.
func DefaultConfig() Config {
	return Config{
		Log:              logging.DefaultConfig(),
		RPC:              rpc.ServerConfig{Listen: "127.0.0.1:7412"},
		Cluster:          "default",
		Processor:        rpc.ClientConfig{Address: "127.0.0.1:7413"},
		Cloudsync:        rpc.ClientConfig{Address: "127.0.0.1:7415"},
		ForwardedHeaders: clientaddr.Headers(),
		MaxPendingBytes:  64 << 20,
	}
}

// Validate gives all problems. TLS files are asked for by whoever has no source of its own.
func (c Config) Validate() error {
	errs := []error{c.Log.Validate(), c.Processor.Validate("processor"), c.Cloudsync.Validate("cloudsync")}
	if c.Cluster == "" {
		errs = append(errs, errors.New("cluster is empty: name the cluster as the console shall show it"))
	}
	if _, err := clientaddr.New(c.TrustedProxies, c.ForwardedHeaders); err != nil {
		errs = append(errs, fmt.Errorf("forwarded_headers: %w", err))
	}
	if c.MaxPendingBytes < 1<<20 {
		errs = append(errs, errors.New("max_pending_bytes is less than 1MiB: one batch of an agent may be as big"))
	}
	return errors.Join(errs...)
}
