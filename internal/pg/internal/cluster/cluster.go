// Package cluster makes a private Postgres cluster from the installed programs: it finds them, prepares the directory and
// says how to start the server. Running it is the caller's.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Superuser is the cluster's own role; services use another.
const Superuser = "postgres"

const (
	port = "5432"
	// maxSocketPath is what the kernel's address of a unix socket holds, less its final zero.
	maxSocketPath = 107
)

// ErrNotInstalled says that this machine has no Postgres programs.
var ErrNotInstalled = errors.New("no Postgres programs found in /usr/lib/postgresql/*/bin or PATH: install the package postgresql (14 or newer)")

// Config says where and as whom.
type Config struct {
	Dir string
	// User runs the server when this process is root.
	User string
	// Durable syncs to disk; without it a crash of the machine loses the data.
	Durable bool
}

// Cluster is a prepared directory.
type Cluster struct {
	cfg        Config
	bin        string
	socketDir  string
	credential *syscall.Credential
	// made is a socket directory outside Dir, to be removed at the end.
	made string
}

// Prepare finds the programs and makes the cluster's files unless they are there.
func Prepare(ctx context.Context, cfg Config) (*Cluster, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("directory of the private Postgres: %w", err)
	}
	cfg.Dir = dir
	c := &Cluster{cfg: cfg}
	if c.credential, err = credentialFor(cfg.User); err != nil {
		return nil, err
	}
	if c.bin, err = findBin(c.data()); err != nil {
		return nil, err
	}
	if err := c.ownDir(cfg.Dir); err != nil {
		return nil, err
	}
	if err := c.reachable(); err != nil {
		return nil, err
	}
	if err := c.initialise(ctx); err != nil {
		return nil, err
	}
	if err := c.makeSocketDir(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Cluster) data() string { return filepath.Join(c.cfg.Dir, "data") }

// Program is the full path of the server's program.
func (c *Cluster) Program() string { return filepath.Join(c.bin, "postgres") }

// Args start the server in the foreground, on its unix socket alone.
func (c *Cluster) Args() []string {
	settings := []string{
		"listen_addresses=", "port=" + port, "unix_socket_permissions=0700",
		// Statements in the server's log could hold values.
		"log_min_error_statement=panic", "log_min_messages=warning", "logging_collector=off",
		"shared_buffers=32MB", "max_connections=100", "timezone=UTC",
	}
	if !c.cfg.Durable {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	args := []string{"-D", c.data(), "-k", c.socketDir}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return args
}

// Command runs a program of the cluster as its user, in a directory that this user can enter.
func (c *Cluster) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = c.cfg.Dir
	cmd.Env = []string{"PATH=" + c.bin + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.credential}
	return cmd
}

// DSN connects over the socket.
func (c *Cluster) DSN(database, role string) string {
	query := url.Values{"host": {c.socketDir}, "port": {port}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: url.User(role), Path: "/" + database, RawQuery: query.Encode()}).String()
}

// RemoveSocketDir takes away what was made outside the directory.
func (c *Cluster) RemoveSocketDir() error {
	if c.made == "" {
		return nil
	}
	return os.RemoveAll(c.made)
}

func (c *Cluster) initialise(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(c.data(), "PG_VERSION")); err == nil {
		return nil
	}
	// What a killed initdb left would stop the next one.
	if err := os.RemoveAll(c.data()); err != nil {
		return fmt.Errorf("removing a half-made cluster: %w", err)
	}
	args := []string{"-D", c.data(), "-U", Superuser, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"}
	if !c.cfg.Durable {
		args = append(args, "--no-sync")
	}
	cmd := c.Command(ctx, filepath.Join(c.bin, "initdb"), args...)
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLines(string(output), 5))
	}
	return nil
}

// makeSocketDir keeps the socket's path within what the kernel takes.
func (c *Cluster) makeSocketDir() error {
	c.socketDir = filepath.Join(c.cfg.Dir, "s")
	if len(c.socketDir)+len("/.s.PGSQL."+port) < maxSocketPath {
		return c.ownDir(c.socketDir)
	}
	dir, err := os.MkdirTemp("", "sidelight-pg-")
	if err != nil {
		return fmt.Errorf("directory of the Postgres socket: %w", err)
	}
	c.socketDir, c.made = dir, dir
	if len(dir)+len("/.s.PGSQL."+port) >= maxSocketPath {
		_ = os.RemoveAll(dir)
		return fmt.Errorf("the path of the Postgres socket under %s is too long for the kernel: set TMPDIR to a shorter one", dir)
	}
	return c.ownDir(dir)
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "; ")
}
