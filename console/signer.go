package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/sidelight/sidelight/console/internal/signer"
	"github.com/sidelight/sidelight/internal/logging"
)

// SignerConfig is all settings of the signer, a process beside the console that holds the policy key.
type SignerConfig struct {
	Log logging.Config `yaml:"log"`
	// Socket is where the console reaches it.
	Socket string `yaml:"socket"`
	// DataDir holds the key and what was signed; nobody else may write there.
	DataDir string `yaml:"data_dir"`
	// AllowUID is the console's user.
	AllowUID int `yaml:"allow_uid"`
}

// DefaultSignerConfig allows nobody but root until allow_uid is set.
func DefaultSignerConfig() SignerConfig {
	return SignerConfig{Log: logging.DefaultConfig(), AllowUID: -1}
}

// Validate gives all problems at once.
func (c SignerConfig) Validate() error {
	problems := []error{c.Log.Validate()}
	if c.Socket == "" {
		problems = append(problems, errors.New("socket is empty: set the path of the socket that the console's signer.socket names"))
	}
	if c.DataDir == "" {
		problems = append(problems, errors.New("data_dir is empty: set a directory that only the signer's user may write"))
	}
	if c.AllowUID < 0 {
		problems = append(problems, fmt.Errorf("allow_uid is %d: set the number of the console's user", c.AllowUID))
	}
	return errors.Join(problems...)
}

// SignerDeps is what the signer is given from outside.
type SignerDeps struct {
	Log *slog.Logger
}

// Signer is one signer process.
type Signer struct{ inner *signer.Signer }

// NewSigner makes a signer that does nothing until Run.
func NewSigner(cfg SignerConfig, deps SignerDeps) (*Signer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Log == nil {
		return nil, errors.New("console.SignerDeps needs Log")
	}
	return &Signer{signer.New(signer.Config{Socket: cfg.Socket, DataDir: cfg.DataDir, AllowUID: cfg.AllowUID}, deps.Log)}, nil
}

// Run serves until ctx ends.
func (s *Signer) Run(ctx context.Context) error { return s.inner.Run(ctx) }

// Ready says whether it serves, nil if it does.
func (s *Signer) Ready() error { return s.inner.Ready() }
