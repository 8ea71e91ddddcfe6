package standalone

import (
	"errors"
	"fmt"
	"net"

	"github.com/sidelight/sidelight/agent"
	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logging"
)

// Config is what `sidelight run --config FILE` reads.
type Config struct {
	Log logging.Config `yaml:"log"`
	// DataDir holds the database, the journal, keys and sockets.
	DataDir string `yaml:"data_dir"`
	// User runs everything but the agent; empty = sidelight, else nobody.
	User string `yaml:"user"`
	// Cluster names this host in the console.
	Cluster string `yaml:"cluster"`
	// Mirror selects what the agent mirrors; nothing by default.
	Mirror agent.Mirror `yaml:"mirror"`
	// TrustedProxies may tell the client's address in X-Forwarded-For, X-Real-IP and Forwarded.
	TrustedProxies config.CIDRs `yaml:"trusted_proxies"`
	Console        Console      `yaml:"console"`
	Database       Database     `yaml:"database"`
	Inventory      Inventory    `yaml:"inventory"`
}

// Console says where people reach the console.
type Console struct {
	Listen string `yaml:"listen"`
	// AllowedHosts are the names that a browser may use for it, beside the listening address.
	AllowedHosts []string `yaml:"allowed_hosts"`
}

// Database is the Postgres that inventory and console use.
type Database struct {
	// DSN of a server of yours; empty = a private server in the data directory.
	DSN config.Secret `yaml:"dsn"`
}

// Inventory tunes API discovery.
type Inventory struct {
	// MinRequests publishes an endpoint after this many good answers.
	MinRequests int `yaml:"min_requests"`
}

// DefaultConfig mirrors nothing and keeps to loopback.
func DefaultConfig() Config {
	return Config{
		Log:       logging.DefaultConfig(),
		DataDir:   "/var/lib/sidelight",
		Cluster:   "standalone",
		Console:   Console{Listen: "127.0.0.1:8443"},
		Inventory: Inventory{MinRequests: 3},
	}
}

// Validate reports all problems at once.
func (c Config) Validate() error {
	var problems []error
	if c.DataDir == "" {
		problems = append(problems, errors.New("data_dir is empty: name a directory that Sidelight may write"))
	}
	if c.Cluster == "" {
		problems = append(problems, errors.New("cluster is empty: name this host as the console shall show it"))
	}
	if _, _, err := net.SplitHostPort(c.Console.Listen); err != nil {
		problems = append(problems, fmt.Errorf("console.listen %q: want host:port, such as 127.0.0.1:8443", c.Console.Listen))
	}
	if c.Inventory.MinRequests < 1 {
		problems = append(problems, errors.New("inventory.min_requests: want at least 1"))
	}
	problems = append(problems, c.Log.Validate(), c.Mirror.Validate())
	return errors.Join(problems...)
}
