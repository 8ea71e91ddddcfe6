package apidiscovery

import (
	"errors"
	"fmt"
	"time"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logging"
	"github.com/sidelight/sidelight/internal/opsport"
	"github.com/sidelight/sidelight/internal/pg"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

// Config is apidiscovery's whole configuration.
type Config struct {
	Log logging.Config   `yaml:"log"`
	RPC rpc.ServerConfig `yaml:"rpc"`
	TLS tlsreload.Config `yaml:"tls"`
	Ops opsport.Config   `yaml:"ops"`
	// Cluster is this cluster's name in the part's own status.
	Cluster string `yaml:"cluster"`
	// Instance names this replica; empty: the host's name. A restart under the same name finds its last life.
	Instance string    `yaml:"instance"`
	Database pg.Config `yaml:"database"`
	// CloudSync is where changed endpoints go; without an address they stay here.
	CloudSync rpc.ClientConfig `yaml:"cloudsync"`
	Admission Admission        `yaml:"admission"`
	// FlushEvery is how often what is new is written: a crash loses at most that.
	FlushEvery config.Duration `yaml:"flush_every"`
	// PushCountersEvery is how long a change of counters alone may wait for its push; other changes go at once.
	PushCountersEvery config.Duration `yaml:"push_counters_every"`
	Limits            Limits          `yaml:"limits"`
}

// Admission says when an endpoint is shown.
type Admission struct {
	// Requests that were answered with success make an endpoint.
	Requests int `yaml:"requests"`
}

// Limits bound the memory; what they turn away is counted.
type Limits struct {
	Hosts           int `yaml:"hosts"`
	HostsPerService int `yaml:"hosts_per_service"`
	Endpoints       int `yaml:"endpoints"`
	// Paths is the size of the tree of one host.
	Paths int `yaml:"paths_per_host"`
	// Parameters of one endpoint.
	Parameters int `yaml:"parameters_per_endpoint"`
	// Exchanges that are remembered to recognise resends and to join late answers.
	Exchanges int `yaml:"exchanges"`
}

// DefaultConfig listens on loopback and expects its peers there. The database must be named.
func DefaultConfig() Config {
	return Config{
		Log:               logging.DefaultConfig(),
		RPC:               rpc.ServerConfig{Listen: "127.0.0.1:7414"},
		Database:          pg.DefaultConfig(),
		CloudSync:         rpc.ClientConfig{Address: "127.0.0.1:7415"},
		Admission:         Admission{Requests: 3},
		FlushEvery:        config.Duration(time.Second),
		PushCountersEvery: config.Duration(5 * time.Second),
		Limits:            Limits{Hosts: 2000, HostsPerService: 64, Endpoints: 20_000, Paths: 4096, Parameters: 256, Exchanges: 200_000},
	}
}

// Validate gives all problems. TLS files are asked for by whoever has no source of its own.
func (c Config) Validate() error {
	errs := []error{c.Log.Validate(), c.Database.Validate("database")}
	if n := c.Admission.Requests; n < 1 || n > 1000 {
		errs = append(errs, fmt.Errorf("admission.requests is %d: give a number from 1 to 1000", n))
	}
	if t := c.FlushEvery.Duration(); t < 10*time.Millisecond || t > time.Minute {
		errs = append(errs, fmt.Errorf("flush_every is %s: give a value from 10ms to 1m", t))
	}
	if t := c.PushCountersEvery.Duration(); t < 10*time.Millisecond || t > time.Hour {
		errs = append(errs, fmt.Errorf("push_counters_every is %s: give a value from 10ms to 1h", t))
	}
	for name, n := range map[string]int{
		"hosts": c.Limits.Hosts, "hosts_per_service": c.Limits.HostsPerService, "endpoints": c.Limits.Endpoints,
		"paths_per_host": c.Limits.Paths, "parameters_per_endpoint": c.Limits.Parameters, "exchanges": c.Limits.Exchanges,
	} {
		if n < 1 {
			errs = append(errs, fmt.Errorf("limits.%s is %d: give 1 or more", name, n))
		}
	}
	return errors.Join(errs...)
}
