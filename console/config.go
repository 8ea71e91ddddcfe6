package console

import (
	"errors"
	"fmt"

	"github.com/sidelight/sidelight/console/internal/guard"
	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logging"
	"github.com/sidelight/sidelight/internal/opsport"
	"github.com/sidelight/sidelight/internal/pg"
)

// Config is all settings of the console.
type Config struct {
	Log      logging.Config `yaml:"log"`
	Ops      opsport.Config `yaml:"ops"`
	UI       UIConfig       `yaml:"ui"`
	Uplink   UplinkConfig   `yaml:"uplink"`
	Database pg.Config      `yaml:"database"`
	Signer   SignerAt       `yaml:"signer"`
	// BootstrapToken is a token that exists from the start, so that an installation can be set up together with its
	// console. A changed value replaces the old one; installations made with it go on.
	BootstrapToken config.Secret `yaml:"bootstrap_token"`
}

// UIConfig is the listener for people.
type UIConfig struct {
	Listen string `yaml:"listen"`
	// Cert and Key are PEM files, read again when they change.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// AllowedHosts are the names that browsers may use; all others are answered 421. An entry without a port allows
	// every port.
	AllowedHosts []string `yaml:"allowed_hosts"`
}

// UplinkConfig is the listener for installations.
type UplinkConfig struct {
	Listen string `yaml:"listen"`
	Cert   string `yaml:"cert"`
	Key    string `yaml:"key"`
}

// SignerAt says where the signer is, the process beside this one that has the policy key.
type SignerAt struct {
	// Socket is its path. Without a signer no policy can be published, and a new console can register no installation.
	Socket string `yaml:"socket"`
}

// shortestToken keeps guessable bootstrap tokens out.
const shortestToken = 24

// DefaultConfig listens on loopback only.
func DefaultConfig() Config {
	return Config{
		Log:      logging.DefaultConfig(),
		UI:       UIConfig{Listen: "127.0.0.1:8443", AllowedHosts: []string{"localhost", "127.0.0.1", "::1"}},
		Uplink:   UplinkConfig{Listen: "127.0.0.1:8444"},
		Database: pg.DefaultConfig(),
	}
}

// Validate gives all problems at once.
func (c Config) Validate() error {
	problems := []error{c.Log.Validate(), c.Database.Validate("database")}
	need := func(value, key, what string) {
		if value == "" {
			problems = append(problems, fmt.Errorf("%s is empty: set %s", key, what))
		}
	}
	need(c.UI.Listen, "ui.listen", "an address such as \":8443\"")
	need(c.UI.Cert, "ui.cert", "the file of a PEM certificate")
	need(c.UI.Key, "ui.key", "the file of the certificate's PEM key")
	need(c.Uplink.Listen, "uplink.listen", "an address such as \":8444\"")
	need(c.Uplink.Cert, "uplink.cert", "the file of a PEM certificate")
	need(c.Uplink.Key, "uplink.key", "the file of the certificate's PEM key")
	if len(c.UI.AllowedHosts) == 0 {
		problems = append(problems, errors.New("ui.allowed_hosts is empty: name the hosts that browsers use"))
	}
	for _, h := range c.UI.AllowedHosts {
		if err := guard.CheckHost(h); err != nil {
			problems = append(problems, fmt.Errorf("ui.allowed_hosts: %w", err))
		}
	}
	if t := c.BootstrapToken.Reveal(); t != "" && len(t) < shortestToken {
		problems = append(problems, fmt.Errorf("bootstrap_token is shorter than %d characters: use a random one", shortestToken))
	}
	return errors.Join(problems...)
}
