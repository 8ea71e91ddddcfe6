package processor

import (
	"errors"
	"fmt"
	"time"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logging"
	"github.com/sidelight/sidelight/internal/opsport"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/tlsreload"

	"github.com/sidelight/sidelight/processor/internal/behaviour"
)

// Config is the processor's whole configuration.
type Config struct {
	Log logging.Config   `yaml:"log"`
	RPC rpc.ServerConfig `yaml:"rpc"`
	TLS tlsreload.Config `yaml:"tls"`
	Ops opsport.Config   `yaml:"ops"`
	// Cluster is this cluster's name in the part's own status.
	Cluster string `yaml:"cluster"`
	// Instance names this replica; empty: the host's name.
	Instance     string           `yaml:"instance"`
	Inspect      InspectorConfig  `yaml:"inspect"`
	CloudSync    rpc.ClientConfig `yaml:"cloudsync"`
	APIDiscovery rpc.ClientConfig `yaml:"apidiscovery"`
	// CommitTimeout is how long keeping hits may take before a call is refused.
	CommitTimeout config.Duration `yaml:"commit_timeout"`
	// BatchTime is how long the inspection of one batch may take; what is left over then is answered as not inspected.
	BatchTime config.Duration `yaml:"batch_time"`
	// Observations bounds what waits for apidiscovery.
	Observations Bound `yaml:"observations"`
	// Behaviour is about what clients do over time.
	Behaviour BehaviourConfig `yaml:"behaviour"`
}

// BehaviourConfig says who owns which client's windows, and what they look for.
type BehaviourConfig struct {
	// Peers is the address of all replicas, this one too: a headless service, or several "a:1,b:2". Each owns a share of the clients.
	// Empty: this process is alone and owns all.
	Peers rpc.ClientConfig `yaml:"peers"`
	// Facts bounds what waits for its owner.
	Facts            Bound `yaml:"facts"`
	behaviour.Config `yaml:",inline"`
}

// Bound is the size of a queue.
type Bound struct {
	Items int             `yaml:"items"`
	Bytes config.ByteSize `yaml:"bytes"`
}

// DefaultConfig listens on loopback and expects its peers there.
func DefaultConfig() Config {
	return Config{
		Log:           logging.DefaultConfig(),
		RPC:           rpc.ServerConfig{Listen: "127.0.0.1:7413"},
		Inspect:       DefaultInspectorConfig(),
		CloudSync:     rpc.ClientConfig{Address: "127.0.0.1:7415"},
		APIDiscovery:  rpc.ClientConfig{Address: "127.0.0.1:7414"},
		CommitTimeout: config.Duration(2 * time.Second),
		BatchTime:     config.Duration(10 * time.Second),
		Observations:  Bound{Items: 65536, Bytes: 32 << 20},
		Behaviour:     BehaviourConfig{Facts: Bound{Items: 65536, Bytes: 16 << 20}, Config: behaviour.DefaultConfig()},
	}
}

// Validate gives all problems. TLS files are asked for by whoever has no source of its own.
func (c Config) Validate() error {
	var errs []error
	errs = append(errs, c.Log.Validate(), c.Inspect.Validate(), c.CloudSync.Validate("cloudsync"), c.APIDiscovery.Validate("apidiscovery"))
	if t := c.CommitTimeout.Duration(); t < 10*time.Millisecond || t > time.Minute {
		errs = append(errs, fmt.Errorf("commit_timeout is %s: give a value from 10ms to 1m", t))
	}
	if t := c.BatchTime.Duration(); t < 100*time.Millisecond || t > 5*time.Minute {
		errs = append(errs, fmt.Errorf("batch_time is %s: give a value from 100ms to 5m", t))
	}
	if c.Observations.Items < 1 || c.Observations.Bytes < 1<<16 {
		errs = append(errs, errors.New("observations needs at least 1 item and 64KiB"))
	}
	return errors.Join(append(errs, c.Behaviour.validate(c.Inspect))...)
}

func (c BehaviourConfig) validate(i InspectorConfig) error {
	errs := []error{c.Validate()}
	if c.Facts.Items < 1 || c.Facts.Bytes < 1<<12 {
		errs = append(errs, errors.New("behaviour.facts needs at least 1 item and 4KiB"))
	}
	if c.Peers.Address != "" {
		errs = append(errs, c.Peers.Validate("behaviour.peers"))
		if i.HashKey.Reveal() == "" {
			errs = append(errs, errors.New("behaviour.peers needs inspect.hash_key: without one key for all, replicas cannot tell that two clients are one"))
		}
	}
	return errors.Join(errs...)
}
