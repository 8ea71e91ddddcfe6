package agent

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sidelight/sidelight/agent/internal/budget"
	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/agent/internal/selector"
	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logging"
	"github.com/sidelight/sidelight/internal/opsport"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

// Config is the agent's settings.
type Config struct {
	Log logging.Config   `yaml:"log"`
	TLS tlsreload.Config `yaml:"tls"`
	Ops opsport.Config   `yaml:"ops"`
	// Aggregator takes the exchanges.
	Aggregator rpc.ClientConfig `yaml:"aggregator"`
	// Node names this host; default: its name.
	Node    string `yaml:"node"`
	Cluster string `yaml:"cluster"`
	Mirror  Mirror `yaml:"mirror"`
	// ProcRoot is where the host's /proc is mounted.
	ProcRoot string  `yaml:"proc_root"`
	Capture  Capture `yaml:"capture"`
	// Budget is the agent's share of the host: over it, less is copied.
	Budget budget.Config `yaml:"budget"`
}

// Mirror selects what is mirrored. Nothing by default.
type Mirror struct {
	// Filters: what is in one item must all hold; any item will do.
	Filters []selector.Filter `yaml:"filters"`
}

// Capture bounds what is copied and kept.
type Capture struct {
	// Backend is where bytes of sockets are taken: sockets, calls, functions, or auto for the first that the kernel can do of the first two.
	Backend string `yaml:"backend"`
	// RequestBudget is the bytes copied of a request, up to 1 MiB.
	RequestBudget config.ByteSize `yaml:"request_budget"`
	// ResponseBudget is the bytes copied of a response: its head.
	ResponseBudget config.ByteSize `yaml:"response_budget"`
	Ring           config.ByteSize `yaml:"ring"`
	// Buffer holds what the aggregator has not acknowledged.
	Buffer config.ByteSize `yaml:"buffer"`
	// MemoryLimit makes the runtime collect harder before the agent grows beyond it.
	MemoryLimit config.ByteSize `yaml:"memory_limit"`
}

// DefaultConfig mirrors nothing.
func DefaultConfig() Config {
	node, err := os.Hostname()
	if err != nil {
		node = "unknown"
	}
	p := probe.DefaultConfig()
	return Config{
		Log: logging.DefaultConfig(), Node: node, Cluster: "standalone", ProcRoot: "/proc",
		TLS: tlsreload.Config{Poll: config.Duration(5 * time.Second)},
		Capture: Capture{
			Backend:       p.Backend,
			RequestBudget: config.ByteSize(p.RequestBudget), ResponseBudget: config.ByteSize(p.ResponseBudget),
			Ring: config.ByteSize(p.RingBytes), Buffer: 32 << 20, MemoryLimit: 100 << 20,
		},
		Budget: budget.DefaultConfig(),
	}
}

// Validate reports all problems at once.
func (c Config) Validate() error {
	problems := []error{c.Log.Validate(), c.TLS.Validate(), c.Aggregator.Validate("aggregator"), c.Mirror.Validate(), c.Capture.validate(), c.Budget.Validate()}
	if c.Node == "" {
		problems = append(problems, errors.New("node is empty: name this host"))
	}
	return errors.Join(problems...)
}

// Validate says which filter is wrong.
func (m Mirror) Validate() error {
	var problems []error
	for i, f := range m.Filters {
		if err := f.Validate(); err != nil {
			problems = append(problems, fmt.Errorf("mirror.filters[%d]: %w", i, err))
		}
	}
	return errors.Join(problems...)
}

func (c Capture) validate() error {
	if c.Buffer < 1<<20 {
		return errors.New("capture.buffer: want at least 1MiB")
	}
	if err := c.probe().Validate(); err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	return nil
}

func (c Capture) probe() probe.Config {
	cfg := probe.DefaultConfig()
	cfg.Backend = c.Backend
	cfg.RequestBudget, cfg.ResponseBudget, cfg.RingBytes = clamp(c.RequestBudget), clamp(c.ResponseBudget), clamp(c.Ring)
	return cfg
}

func (c Capture) ceiling() budget.Ceiling {
	return budget.Ceiling{Request: clamp(c.RequestBudget), Response: clamp(c.ResponseBudget)}
}

func clamp(n config.ByteSize) uint32 {
	return uint32(min(max(n, 0), 1<<31))
}

// MirrorPort selects the processes of one executable that listen on one port.
func MirrorPort(executable string, port uint16) Mirror {
	return Mirror{Filters: []selector.Filter{{Executable: executable, Port: port}}}
}
