package pg_test

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/pg"
	"github.com/sidelight/sidelight/internal/pg/pgtest"
	"github.com/sidelight/sidelight/internal/testkit"
)

//go:embed testdata/migrations/*.sql
var migrations embed.FS

const dir = "testdata/migrations"

func things() pg.Schema { return pg.Schema{Name: "things", Migrations: migrations, Dir: dir} }

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cfg  pg.Config
		want string
	}{
		"empty":     {pg.Config{}, "postgres.dsn is empty"},
		"malformed": {pg.Config{DSN: "postgres://u:hunter2@:bad:port/"}, "no connection URL"},
		"negative":  {pg.Config{DSN: "postgres://h/d", MaxConns: -1}, "max_conns"},
		"good":      {pg.Config{DSN: "postgres://u:p@h:5432/d"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.cfg.Validate("postgres")
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	t.Parallel()
	for range 2 {
		pool := pgtest.Pool(t, migrations, dir, "things")
		_, err := pool.Exec(t.Context(), "insert into thing values ('a')")
		require.NoError(t, err, "a row of another test's database is in the way")
		var schema string
		require.NoError(t, pool.QueryRow(t.Context(), "select schemaname from pg_tables where tablename = 'thing'").Scan(&schema))
		require.Equal(t, "things", schema)
		require.NoError(t, pool.QueryRow(t.Context(), "select schemaname from pg_tables where tablename = 'schema_version'").Scan(&schema))
		require.Equal(t, "things", schema)
	}
}

func TestReplicasMigrateAtOnce(t *testing.T) {
	t.Parallel()
	dsn := config.Secret(pgtest.DSN(t))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			pool, err := pg.Wait(t.Context(), pg.Config{DSN: dsn}, things(), testkit.Logger(t), func(err error) {
				if err != nil {
					t.Errorf("migrating beside another replica: %v", err)
				}
			})
			if err != nil {
				t.Error(err)
				return
			}
			pool.Close()
		})
	}
	wg.Wait()
}

func TestWaitSaysWhyAndHidesThePassword(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg := pg.Config{DSN: config.Secret("postgres://u:hunter2@/d?host=" + t.TempDir())}
	var reasons []error
	_, err := pg.Wait(ctx, cfg, things(), logger, func(err error) {
		if reasons = append(reasons, err); len(reasons) == 3 {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, reasons, 3)
	require.ErrorContains(t, reasons[0], "cannot reach Postgres")
	require.Equal(t, 1, strings.Count(log.String(), "waiting for Postgres"), "said once")
	require.NotContains(t, log.String()+reasons[0].Error(), "hunter2")
}

// serverDir is a directory that an unprivileged user can enter, which a test's own may not be.
func serverDir(t *testing.T) string {
	base, err := os.MkdirTemp("", "sidelight-pg-test-") //nolint:usetesting // a test's own directory is closed to the user that Postgres runs as
	require.NoError(t, err)
	require.NoError(t, os.Chmod(base, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(base)) })
	return filepath.Join(base, "pg")
}

func startServer(t *testing.T, cfg pg.ServerConfig) *pg.Server {
	server := pg.NewServer(cfg, testkit.Logger(t))
	err := server.Start(t.Context())
	if errors.Is(err, pg.ErrNotInstalled) {
		testkit.Skip(t, err.Error())
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	return server
}

func TestServerKeepsItsDataOverARestart(t *testing.T) {
	t.Parallel()
	cfg := pg.ServerConfig{Dir: serverDir(t), Durable: true}
	for _, statement := range []string{"insert into thing values ('kept')", "delete from thing where name = 'kept'"} {
		server := startServer(t, cfg)
		pool, err := pg.Wait(t.Context(), pg.Config{DSN: config.Secret(server.DSN(pg.Database))}, things(), testkit.Logger(t), func(error) {})
		require.NoError(t, err)
		tag, err := pool.Exec(t.Context(), statement)
		require.NoError(t, err)
		require.EqualValues(t, 1, tag.RowsAffected())
		var super bool
		require.NoError(t, pool.QueryRow(t.Context(), "select rolsuper from pg_roles where rolname = current_user").Scan(&super))
		require.False(t, super, "services are no superusers")
		pool.Close()
		pid := server.PID()
		require.NoError(t, server.Stop())
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
		require.NoError(t, server.Err())
	}
}

func TestServerSaysThatPostgresExited(t *testing.T) {
	t.Parallel()
	server := pg.NewServer(pg.ServerConfig{Dir: serverDir(t)}, testkit.Logger(t))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(t.Context()) }()
	for server.PID() == 0 {
		select {
		case err := <-ended:
			if errors.Is(err, pg.ErrNotInstalled) {
				testkit.Skip(t, err.Error())
			}
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
	require.NoError(t, syscall.Kill(server.PID(), syscall.SIGKILL))
	require.ErrorContains(t, <-ended, "postgres exited")
}

func TestServerUsesAShortSocketPath(t *testing.T) {
	t.Parallel()
	deep := filepath.Join(serverDir(t), strings.Repeat("deep/", 20), strings.Repeat("d", 60))
	server := startServer(t, pg.ServerConfig{Dir: deep})
	pool, err := pg.Open(t.Context(), pg.Config{DSN: config.Secret(server.DSN(pg.Database))}, "things")
	require.NoError(t, err)
	pool.Close()
}

func TestServerNamesTheDirectoryThatKeepsItOut(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	base, err := os.MkdirTemp("", "sidelight-pg-test-") //nolint:usetesting // a test's own directory is closed to the user that Postgres runs as
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(base)) })
	err = pg.NewServer(pg.ServerConfig{Dir: filepath.Join(base, "pg")}, testkit.Logger(t)).Start(t.Context())
	if errors.Is(err, pg.ErrNotInstalled) {
		testkit.Skip(t, err.Error())
	}
	require.ErrorContains(t, err, "cannot enter "+base)
}

// helperDir makes the test binary a process that starts a server and waits to be killed.
const helperDir = "SIDELIGHT_PG_TEST_DIR"

func TestServerDiesWithItsProcess(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv(helperDir); dir != "" {
		server := pg.NewServer(pg.ServerConfig{Dir: dir}, testkit.Quiet())
		require.NoError(t, server.Start(t.Context()))
		fmt.Println("pid", server.PID())
		<-server.Done()
		return
	}
	dir := serverDir(t)
	startServer(t, pg.ServerConfig{Dir: dir + "-skips-without-programs"})
	helper := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestServerDiesWithItsProcess$", "-test.v")
	helper.Env = append(os.Environ(), helperDir+"="+dir)
	output, err := helper.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, helper.Start())
	pid := 0
	lines := bufio.NewScanner(output)
	for pid == 0 && lines.Scan() {
		_, _ = fmt.Sscanf(lines.Text(), "pid %d", &pid)
	}
	require.NotZero(t, pid)
	require.NoError(t, helper.Process.Kill())
	require.Error(t, helper.Wait())
	require.Eventually(t, func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }, 20*time.Second, 5*time.Millisecond)
}
