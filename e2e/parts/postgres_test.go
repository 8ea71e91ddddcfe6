package parts

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/testkit"
)

// postgres is a real server on the fleet's network, with a password, as a cluster has it.
type postgres struct {
	*process
	bin string
}

const databasePassword = "a-password-of-this-test"

func (f *fleet) newPostgres() *postgres {
	f.t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) == 0 {
		testkit.Skip(f.t, "no PostgreSQL: apt-get install postgresql")
	}
	slices.Sort(found)
	p := &postgres{process: f.process("postgres"), bin: found[len(found)-1]}
	// initdb wants a user with a name; the package made one.
	account, err := user.Lookup("postgres")
	require.NoError(f.t, err)
	p.uid, err = strconv.Atoi(account.Uid)
	require.NoError(f.t, err)
	require.NoError(f.t, os.Chown(p.dir, p.uid, p.uid))
	data, pass := filepath.Join(p.dir, "data"), filepath.Join(p.dir, "password")
	require.NoError(f.t, os.WriteFile(pass, []byte(databasePassword+"\n"), 0o644))
	p.as(f, filepath.Join(p.bin, "initdb"), "-D", data, "-U", "postgres", "--auth=scram-sha-256", "--pwfile="+pass, "-E", "UTF8", "--locale=C")
	hba, err := os.OpenFile(filepath.Join(data, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(f.t, err)
	_, err = hba.WriteString("host all all 10.77.0.0/24 scram-sha-256\n")
	require.NoError(f.t, errors.Join(err, hba.Close()))
	p.argv = []string{filepath.Join(p.bin, "postgres"), "-D", data, "-h", p.host.address, "-k", p.dir, "-c", "shared_buffers=32MB", "-c", "max_connections=60"}
	p.ready = func() error {
		output, err := p.command(filepath.Join(p.bin, "psql"), "-h", p.dir, "-U", "postgres", "-Atc", "select 1")
		if err != nil {
			return fmt.Errorf("%w: %s", err, output)
		}
		return nil
	}
	p.start()
	for _, statement := range []string{
		"create role sidelight login password '" + databasePassword + "'", "create database sidelight owner sidelight",
	} {
		output, err := p.command(filepath.Join(p.bin, "psql"), "-h", p.dir, "-U", "postgres", "-c", statement)
		require.NoError(f.t, err, "%s", output)
	}
	return p
}

func (p *postgres) as(f *fleet, argv ...string) {
	f.t.Helper()
	output, err := p.command(argv...)
	require.NoError(f.t, err, "%s", output)
}

// command runs a tool of Postgres as its user, in its network.
func (p *postgres) command(argv ...string) (output []byte, err error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C", "PGPASSWORD=" + databasePassword}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(p.uid), Gid: uint32(p.uid)}}
	p.host.do(func() { output, err = cmd.CombinedOutput() })
	return output, err
}

func (p *postgres) dsn() string {
	return fmt.Sprintf("postgres://sidelight:%s@%s:5432/sidelight", databasePassword, p.host.address)
}

// sql changes what is stored, as whoever gets hold of the database could.
func (p *postgres) sql(f *fleet, statement string) {
	f.t.Helper()
	p.as(f, filepath.Join(p.bin, "psql"), "-h", p.dir, "-U", "postgres", "-d", "sidelight", "-v", "ON_ERROR_STOP=1", "-c", statement)
}

// dump is every row of every table, as text.
func (p *postgres) dump(f *fleet) []byte {
	f.t.Helper()
	output, err := p.command(filepath.Join(p.bin, "pg_dump"), "-h", p.dir, "-U", "postgres", "-d", "sidelight", "--inserts")
	require.NoError(f.t, err, "%s", output)
	return output
}

// fast ends it at once and in order, as an administrator's restart does.
func (p *postgres) fast() { p.t.Helper(); p.end(syscall.SIGINT) }
