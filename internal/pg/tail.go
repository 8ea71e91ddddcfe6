package pg

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// tail passes the server's own lines to the log, and keeps the last few to explain an exit.
type tail struct {
	log *slog.Logger

	mu      sync.Mutex
	partial []byte
	lines   []string
}

const (
	tailLines = 3
	tailBytes = 4 << 10
)

func newTail(log *slog.Logger) *tail { return &tail{log: log} }

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.partial = append(t.partial, p...)
	for {
		end := bytes.IndexByte(t.partial, '\n')
		if end < 0 && len(t.partial) < tailBytes {
			return len(p), nil
		}
		if end < 0 {
			end = len(t.partial) - 1
		}
		line := strings.TrimSpace(string(t.partial[:end]))
		t.partial = t.partial[end+1:]
		if line == "" {
			continue
		}
		t.log.Debug("postgres says", "line", line)
		if t.lines = append(t.lines, line); len(t.lines) > tailLines {
			t.lines = t.lines[1:]
		}
	}
}

// last gives the lines for the end of an error message.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 0 {
		return ""
	}
	return "; it said: " + strings.Join(t.lines, "; ")
}
