// Package layout names the files and directories of a standalone installation, and gives each its owner.
package layout

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// Layout is the tree below the data directory.
type Layout struct {
	Root string
	// Owner runs the services and the database.
	Owner Owner
}

// Owner is an unprivileged user.
type Owner struct {
	Name     string
	UID, GID int
}

func (l Layout) Postgres() string { return filepath.Join(l.Root, "postgres") }
func (l Layout) Journal() string  { return filepath.Join(l.Root, "journal") }
func (l Layout) Secrets() string  { return filepath.Join(l.Root, "secrets") }

// Signer holds the policy key: the launcher's own, out of the services' reach.
func (l Layout) Signer() string { return filepath.Join(l.Root, "signer") }

func (l Layout) SignerSocket() string { return filepath.Join(l.Run(), "signer.sock") }

func (l Layout) Run() string                 { return filepath.Join(l.Root, "run") }
func (l Layout) TLS(part string) string      { return filepath.Join(l.Run(), "tls", part) }
func (l Layout) OperatorSocket() string      { return filepath.Join(l.Run(), "operator.sock") }
func (l Layout) Certificate(p string) string { return filepath.Join(l.TLS(p), "tls.crt") }
func (l Layout) Key(p string) string         { return filepath.Join(l.TLS(p), "tls.key") }
func (l Layout) CA(p string) string          { return filepath.Join(l.TLS(p), "ca.crt") }

// Make creates the tree. What the owner's processes write belongs to the owner and to nobody else; what lies above
// stays with the launcher, so that a service cannot swap a directory under it.
func (l Layout) Make(parts []string) error {
	for _, dir := range []string{l.Root, l.Run(), filepath.Dir(l.TLS("x"))} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making the data directory: %w (choose another with data_dir)", err)
		}
	}
	if err := os.MkdirAll(l.Signer(), 0o700); err != nil {
		return fmt.Errorf("making %s: %w", l.Signer(), err)
	}
	owned := []string{l.Postgres(), l.Journal(), l.Secrets()}
	for _, part := range parts {
		owned = append(owned, l.TLS(part))
	}
	for _, dir := range owned {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making %s: %w", dir, err)
		}
		if err := os.Chown(dir, l.Owner.UID, l.Owner.GID); err != nil {
			return fmt.Errorf("giving %s to user %s: %w", dir, l.Owner.Name, err)
		}
	}
	return nil
}

// FindOwner resolves the user that the services run as: the named one, else "sidelight" where it exists, else "nobody".
func FindOwner(name string) (Owner, error) {
	candidates := []string{name}
	if name == "" {
		candidates = []string{"sidelight", "nobody"}
	}
	for _, candidate := range candidates {
		u, err := user.Lookup(candidate)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if uidErr != nil || gidErr != nil {
			return Owner{}, fmt.Errorf("user %q has no numeric id", candidate)
		}
		if uid == 0 {
			return Owner{}, fmt.Errorf("user %q is root: the services run without privileges, name another user", candidate)
		}
		return Owner{Name: candidate, UID: uid, GID: gid}, nil
	}
	return Owner{}, fmt.Errorf("there is no user %v: make one (useradd --system sidelight) or set user", candidates)
}
