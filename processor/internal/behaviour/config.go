// Package behaviour keeps, for the clients that this process owns, what they did of late, and tells when that is an attack
// though no single request is. It lives from facts alone, in event time, within bounded memory.
package behaviour

import (
	"errors"
	"fmt"
	"time"

	"github.com/sidelight/sidelight/internal/config"
)

// Config bounds the windows, and says what is too much.
type Config struct {
	// Clients is the largest number of clients that are remembered; beyond it the one longest unseen is forgotten.
	Clients int `yaml:"clients"`
	// ForcedBrowsing is the guessing of paths.
	ForcedBrowsing ForcedBrowsing `yaml:"forced_browsing"`
}

// ForcedBrowsing is when a client that asks for what is not there is guessing.
type ForcedBrowsing struct {
	// Window is the time that is looked back on.
	Window config.Duration `yaml:"window"`
	// Paths is how many different paths of one service must have been answered 404 or 403 within the window.
	Paths int `yaml:"paths"`
	// Share is which part of the client's requests to the service these answers must be.
	Share float64 `yaml:"share"`
	// Every is how often one client and service are told of while it goes on.
	Every config.Duration `yaml:"every"`
}

// DefaultConfig tells of 30 paths in a minute.
func DefaultConfig() Config {
	return Config{Clients: 100_000, ForcedBrowsing: ForcedBrowsing{
		Window: config.Duration(time.Minute), Paths: 30, Share: 0.8, Every: config.Duration(10 * time.Minute),
	}}
}

// Validate gives all problems.
func (c Config) Validate() error {
	var errs []error
	if c.Clients < 1 || c.Clients > 100_000 {
		errs = append(errs, fmt.Errorf("behaviour.clients is %d: give a value from 1 to 100000", c.Clients))
	}
	f := c.ForcedBrowsing
	if w := f.Window.Duration(); w < 30*time.Second || w > 10*time.Minute {
		errs = append(errs, fmt.Errorf("behaviour.forced_browsing.window is %s: give a value from 30s to 10m", w))
	}
	if f.Paths < 5 || f.Paths > 1000 {
		errs = append(errs, fmt.Errorf("behaviour.forced_browsing.paths is %d: give a value from 5 to 1000", f.Paths))
	}
	if f.Share < 0.1 || f.Share > 1 {
		errs = append(errs, fmt.Errorf("behaviour.forced_browsing.share is %g: give a value from 0.1 to 1", f.Share))
	}
	if f.Every.Duration() < f.Window.Duration() {
		errs = append(errs, errors.New("behaviour.forced_browsing.every is shorter than its window"))
	}
	return errors.Join(errs...)
}
