package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"github.com/sidelight/sidelight/internal/pg"
	"github.com/sidelight/sidelight/internal/pg/internal/cluster"
)

// script holds the server while the pipe on its standard input is open: the kernel closes that when the test process
// ends, even by SIGKILL. A child of a shell ignores SIGINT, so it is SIGQUIT that stops the server.
const script = `dir=$1; shift
"$@" >"$dir/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -QUIT $server
wait $server
cd /
rm -rf "$dir"`

// supervise starts a private server, which lives until the file is closed or the process ends. No goroutine waits for it,
// so that leak checks of tests stay clean.
func supervise(ctx context.Context) (*cluster.Cluster, *os.File, error) {
	dir, err := os.MkdirTemp("", "sidelight-pg-")
	if err != nil {
		return nil, nil, fmt.Errorf("directory of the Postgres of the tests: %w", err)
	}
	private, err := cluster.Prepare(ctx, cluster.Config{Dir: dir})
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("pipe to the Postgres of the tests: %w", err)
	}
	defer func() { _ = reader.Close() }()
	args := append([]string{"-c", script, "sh", dir, private.Program()}, private.Args()...)
	cmd := private.Command(context.WithoutCancel(ctx), "/bin/sh", append(args, "-c", "autovacuum=off", "-c", "max_connections=200")...)
	cmd.Stdin = reader
	// A session of its own: Ctrl-C must not end the supervisor before it has cleaned up.
	cmd.SysProcAttr.Setsid = true
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("starting the Postgres of the tests: %w", err)
	}
	if err := cmd.Process.Release(); err != nil {
		return nil, nil, fmt.Errorf("starting the Postgres of the tests: %w", err)
	}
	return private, writer, nil
}

// external is a server that someone else runs.
func external(dsn string) (*shared, error) {
	address, err := url.Parse(dsn)
	if err != nil {
		return nil, fmt.Errorf("%s is no connection URL", dsnVariable)
	}
	return &shared{admin: dsn, external: true, dsn: func(database string) string {
		other := *address
		other.Path = "/" + database
		return other.String()
	}}, nil
}

// fingerprint names a set of migrations by their content.
func fingerprint(schemas []pg.Schema) (string, error) {
	hash := sha256.New()
	for _, schema := range schemas {
		root := schema.Dir
		if root == "" {
			root = "."
		}
		_, _ = fmt.Fprintf(hash, "%s\x00", schema.Name)
		err := fs.WalkDir(schema.Migrations, root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := fs.ReadFile(schema.Migrations, path)
			_, _ = fmt.Fprintf(hash, "%s\x00%s\x00", path, content)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("migrations of schema %s: %w", schema.Name, err)
		}
	}
	return hex.EncodeToString(hash.Sum(nil)[:6]), nil
}
