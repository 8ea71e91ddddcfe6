package signer

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"

	"github.com/sidelight/sidelight/internal/logkey"
)

// listener lets in root and one user.
type listener struct {
	*net.UnixListener
	allow int
	log   *slog.Logger
}

// listen opens the socket for one user. Without root it cannot be given to another user: then it is open to all users of this
// host, and who connects is looked at by uid alone, as always.
func listen(path string, allow int, log *slog.Logger) (*listener, error) {
	if err := removeOld(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("opening the signer's socket: %w", err)
	}
	mode := os.FileMode(0o600)
	if allow != os.Geteuid() && allow != 0 {
		if err := os.Chown(path, allow, -1); errors.Is(err, fs.ErrPermission) {
			log.Warn("only root can give the socket to another user: every user may open it, and all but allow_uid and root are refused by their uid")
			mode = 0o666
		} else if err != nil {
			return nil, errors.Join(fmt.Errorf("giving the signer's socket to uid %d: %w", allow, err), l.Close())
		}
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("closing the signer's socket to others: %w", err), l.Close())
	}
	return &listener{UnixListener: l, allow: allow, log: log}, nil
}

// removeOld removes the socket of an earlier life that was killed, and nothing else.
func removeOld(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for an old signer's socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and is no socket: set another path", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing the old signer's socket: %w", err)
	}
	return nil
}

// Accept gives the next connection of an allowed user.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peer(conn)
		if err == nil && (uid == 0 || uid == l.allow) {
			return conn, nil
		}
		l.log.Warn("refused a stranger at the signer's socket", "uid", uid, logkey.Error, err)
		_ = conn.Close()
	}
}
