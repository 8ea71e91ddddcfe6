package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Oldest version that the schemas are tested with.
const oldest = 14

// findBin gives the newest installed version, or the one that made the data.
func findBin(data string) (string, error) {
	made, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("version of the private Postgres: %w", err)
	}
	want, _ := strconv.Atoi(strings.TrimSpace(string(made)))
	best, bestVersion := "", 0
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*"} {
		dirs, _ := filepath.Glob(pattern)
		for _, dir := range dirs {
			version := versionOf(dir)
			if version > bestVersion && (want == 0 || version == want) && programs(dir) {
				best, bestVersion = dir, version
			}
		}
	}
	if best == "" {
		if path, err := exec.LookPath("postgres"); err == nil && programs(filepath.Dir(path)) && want == 0 {
			return filepath.Dir(path), nil
		}
	}
	switch {
	case best == "" && want != 0:
		return "", fmt.Errorf("the data in %s was made by Postgres %d, which is not installed: install it, or move the data away", data, want)
	case best == "":
		return "", ErrNotInstalled
	case bestVersion < oldest:
		return "", fmt.Errorf("the newest Postgres here is %d: install %d or newer", bestVersion, oldest)
	}
	return best, nil
}

// versionOf reads the major version from the directory's name.
func versionOf(dir string) int {
	for part := range strings.SplitSeq(dir, "/") {
		digits := strings.TrimPrefix(strings.TrimPrefix(part, "postgresql"), "pgsql-")
		if n, err := strconv.Atoi(digits); err == nil {
			return n
		}
	}
	return 0
}

func programs(dir string) bool {
	for _, name := range []string{"postgres", "initdb"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// credentialFor names the user to run as; nil when this process is not root: then it is this process's own.
func credentialFor(name string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if name == "" {
		name = "nobody"
	}
	account, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("user of the private Postgres: %w", err)
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, fmt.Errorf("user of the private Postgres: %w", err)
	}
	if uid == 0 {
		return nil, fmt.Errorf("user of the private Postgres: it refuses to run as %s, name an unprivileged user", name)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// ownDir makes a directory that the server's user alone can enter.
func (c *Cluster) ownDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("directory of the private Postgres: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("directory of the private Postgres: %w", err)
	}
	if c.credential == nil {
		return nil
	}
	if err := os.Chown(dir, int(c.credential.Uid), int(c.credential.Gid)); err != nil {
		return fmt.Errorf("giving %s to the user of the private Postgres: %w", dir, err)
	}
	return nil
}

// reachable says early, and by name, which directory keeps the server's user out.
func (c *Cluster) reachable() error {
	if c.credential == nil {
		return nil
	}
	for dir := filepath.Dir(c.cfg.Dir); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("directory of the private Postgres: %w", err)
		}
		bit := fs.FileMode(0o001)
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			switch {
			case stat.Uid == c.credential.Uid:
				bit = 0o100
			case stat.Gid == c.credential.Gid:
				bit = 0o010
			}
		}
		if info.Mode()&bit == 0 {
			return fmt.Errorf("the user of the private Postgres cannot enter %s: choose another directory, or allow it there (chmod o+x)", dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}
