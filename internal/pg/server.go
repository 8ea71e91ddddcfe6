package pg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/pg/internal/cluster"
)

// Database and Role are what a private server comes with: services connect as the role, which is no superuser.
const (
	Database = "sidelight"
	Role     = "sidelight"
)

// ErrNotInstalled says that this machine has no Postgres programs.
var ErrNotInstalled = cluster.ErrNotInstalled

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
	killTimeout  = 3 * time.Second
	startPoll    = 20 * time.Millisecond
)

// ServerConfig says where a private server keeps its files.
type ServerConfig struct {
	Dir string `yaml:"dir"`
	// User runs it when this process is root; "" = nobody.
	User string `yaml:"user"`
	// Durable syncs to disk. Without it a crash of the machine loses the data.
	Durable bool `yaml:"durable"`
}

// Server is a private Postgres on a unix socket that only its own user, and root, can reach. It dies with this process.
type Server struct {
	cfg  ServerConfig
	log  *slog.Logger
	done chan struct{}

	mu       sync.Mutex
	cluster  *cluster.Cluster
	pid      int
	stopping bool
	err      error
	stderr   *tail
}

// NewServer makes a server that does nothing until Start or Run.
func NewServer(cfg ServerConfig, log *slog.Logger) *Server {
	return &Server{cfg: cfg, log: log, done: make(chan struct{}), stderr: newTail(log)}
}

// Start makes the cluster if need be, starts the server and waits until the role and the database are there. Once only.
func (s *Server) Start(ctx context.Context) error {
	prepared, err := cluster.Prepare(ctx, cluster.Config{Dir: s.cfg.Dir, User: s.cfg.User, Durable: s.cfg.Durable})
	if err != nil {
		return err
	}
	if err := s.launch(context.WithoutCancel(ctx), prepared); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil {
		return errors.Join(err, s.Stop())
	}
	s.log.Info("private Postgres is ready", logkey.PID, s.pid)
	return nil
}

// Run starts the server, waits until ctx ends or Postgres does, and leaves no process.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Start(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return s.Stop()
	case <-s.done:
		return s.Err()
	}
}

// DSN connects to a database as the services' role. Valid after Start.
func (s *Server) DSN(database string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster == nil {
		return ""
	}
	return s.cluster.DSN(database, Role)
}

// PID of the server's main process, 0 before Start.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid
}

// Done is closed when the process has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err says how it ended; nil while it runs and after Stop.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// launch starts the process from a thread that lives as long as the process: the kernel sends the death signal when the
// thread that started it ends, not the process.
func (s *Server) launch(ctx context.Context, prepared *cluster.Cluster) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		cmd := prepared.Command(ctx, prepared.Program(), prepared.Args()...)
		cmd.Stderr = s.stderr
		// A group of its own: Ctrl-C reaches this process, which stops Postgres when the services are done with it.
		cmd.SysProcAttr.Setpgid = true
		cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
		if s.cfg.Durable {
			cmd.SysProcAttr.Pdeathsig = syscall.SIGINT
		}
		if err := cmd.Start(); err != nil {
			started <- fmt.Errorf("starting Postgres: %w", err)
			return
		}
		s.mu.Lock()
		s.cluster, s.pid = prepared, cmd.Process.Pid
		s.mu.Unlock()
		started <- nil
		s.ended(cmd.Wait())
	}()
	return <-started
}

func (s *Server) ended(exit error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopping {
		if exit == nil {
			exit = errors.New("it was told to stop")
		}
		s.err = fmt.Errorf("postgres exited: %w%s", exit, s.stderr.last())
	}
	if err := s.cluster.RemoveSocketDir(); err != nil {
		s.log.Warn("socket directory of the private Postgres stays behind", logkey.Error, err)
	}
	close(s.done)
}

// awaitReady polls: the server has no other way to say that it takes connections.
func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(startPoll)
	defer ticker.Stop()
	for {
		err := s.bootstrap(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return s.Err()
		case <-ctx.Done():
			return fmt.Errorf("the private Postgres did not become ready: %w%s", err, s.stderr.last())
		case <-ticker.C:
		}
	}
}

// bootstrap makes the services' role and database.
func (s *Server) bootstrap(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.cluster.DSN("postgres", cluster.Superuser))
	if err != nil {
		return err
	}
	err = cluster.Bootstrap(ctx, conn, Role, Database)
	return errors.Join(err, conn.Close(ctx))
}

// Stop ends the server: sessions are cut, data is written. It returns when the process is gone.
func (s *Server) Stop() error {
	s.mu.Lock()
	pid := s.pid
	s.stopping = true
	s.mu.Unlock()
	if pid == 0 {
		return nil
	}
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGINT, stopTimeout}, {syscall.SIGQUIT, killTimeout}, {syscall.SIGKILL, killTimeout}} {
		select {
		case <-s.done:
			return nil
		default:
		}
		if err := syscall.Kill(pid, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stopping Postgres: %w", err)
		}
		select {
		case <-s.done:
			return nil
		case <-time.After(step.wait):
		}
	}
	return fmt.Errorf("process %d of the private Postgres does not end", pid)
}
