package cloudsync

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logging"
	"github.com/sidelight/sidelight/internal/opsport"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

// Config is cloudsync's whole configuration.
type Config struct {
	Log logging.Config   `yaml:"log"`
	RPC rpc.ServerConfig `yaml:"rpc"`
	TLS tlsreload.Config `yaml:"tls"`
	Ops opsport.Config   `yaml:"ops"`
	// Cluster names this installation in the console.
	Cluster string `yaml:"cluster"`
	// Instance names this process; empty: the host's name.
	Instance string `yaml:"instance"`
	// DataDir holds the journal and the installation's key. It must outlive the process.
	DataDir string `yaml:"data_dir"`
	// Retention is how long an attack is kept after its last change.
	Retention config.Duration `yaml:"retention"`
	// MaxSize bounds what the journal uses of its file; the file itself never shrinks, and may be a little larger.
	MaxSize config.ByteSize `yaml:"max_size"`
	Console ConsoleConfig   `yaml:"console"`
}

const (
	defaultRetention = 30 * 24 * time.Hour
	leastRetention   = time.Hour
	defaultMaxSize   = 4 << 30
	leastMaxSize     = 16 << 20
)

// ConsoleConfig says where the console takes uploads; without an address the journal stands alone.
type ConsoleConfig struct {
	Address string `yaml:"address"`
	// CA verifies the console's certificate; empty = the system's.
	CA string `yaml:"ca"`
	// ServerName is the name in the certificate, if it is not that of the address.
	ServerName string `yaml:"server_name"`
	// Token registers this installation the first time.
	Token config.Secret `yaml:"token"`
}

// DefaultConfig listens on loopback and uploads nowhere.
func DefaultConfig() Config {
	return Config{
		Log: logging.DefaultConfig(), RPC: rpc.ServerConfig{Listen: "127.0.0.1:7415"}, Cluster: "default", DataDir: "/var/lib/sidelight/cloudsync",
		Retention: config.Duration(defaultRetention), MaxSize: defaultMaxSize,
	}
}

// Validate gives all problems. TLS files are asked for by whoever has no source of its own.
func (c Config) Validate() error {
	errs := []error{c.Log.Validate()}
	if c.Cluster == "" {
		errs = append(errs, errors.New("cluster is empty: name the cluster as the console shall show it"))
	}
	if c.DataDir == "" {
		errs = append(errs, errors.New("data_dir is empty: name a directory on a disk that stays"))
	}
	if c.Retention.Duration() < leastRetention {
		errs = append(errs, fmt.Errorf("retention %s: want %s or more, such as 720h", c.Retention.Duration(), leastRetention))
	}
	if c.MaxSize < leastMaxSize {
		errs = append(errs, fmt.Errorf("max_size %d: want 16MiB or more, and less than the disk of data_dir has", c.MaxSize))
	}
	if c.Console.Address != "" {
		if _, _, err := net.SplitHostPort(c.Console.Address); err != nil {
			errs = append(errs, fmt.Errorf("console.address %q: want host:port, or leave it empty to keep the journal alone", c.Console.Address))
		}
	}
	return errors.Join(errs...)
}
