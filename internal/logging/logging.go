// Package logging makes the one logger that a process injects everywhere: JSON for machines, text for a terminal.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"os"
)

// Config is what a person may set.
type Config struct {
	// Level is debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is auto, json or text; auto is text on a terminal.
	Format string `yaml:"format"`
}

// DefaultConfig logs from info on.
func DefaultConfig() Config { return Config{Level: "info", Format: "auto"} }

// Validate says what is allowed.
func (c Config) Validate() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return fmt.Errorf("log.level %q: want debug, info, warn or error", c.Level)
	}
	switch c.Format {
	case "auto", "json", "text":
		return nil
	}
	return fmt.Errorf("log.format %q: want auto, json or text", c.Format)
}

// New makes a logger. An invalid level counts as info: Validate says so before.
func New(cfg Config, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
