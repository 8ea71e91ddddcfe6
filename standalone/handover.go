package standalone

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/standalone/internal/layout"
)

// handover is what a child is told, over a pipe.
type handover struct {
	Config plain
	Layout layout.Layout
	// Addresses of the parts; known by the time the agent starts.
	Addresses map[string]string
}

// plain carries the configuration through JSON: as the YAML that it was read from, and its secret apart, since secrets
// hide themselves when they are written.
type plain struct {
	YAML string
	DSN  string
}

func asPlain(c Config) plain {
	dsn := c.Database.DSN.Reveal()
	c.Database.DSN = ""
	var text bytes.Buffer
	if err := yaml.NewEncoder(&text).Encode(c); err != nil {
		// Only a type of ours that cannot be written would do this; the child then says what it misses.
		return plain{DSN: dsn}
	}
	return plain{YAML: text.String(), DSN: dsn}
}

func (p plain) config() (Config, error) {
	cfg := DefaultConfig()
	if err := config.Decode("handover", []byte(p.YAML), &cfg); err != nil {
		return Config{}, fmt.Errorf("reading the configuration from the launcher: %w", err)
	}
	cfg.Database.DSN = config.Secret(p.DSN)
	return cfg, nil
}
