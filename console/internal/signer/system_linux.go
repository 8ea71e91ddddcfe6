package signer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// owned says that a file is somebody else's.
func owned(path string, info os.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s does not belong to the signer's user (uid %d): chown it", path, os.Geteuid())
	}
	return nil
}

// lockDir keeps a second signer away, which would sign a sequence again. The lock ends with the process.
func lockDir(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the signer's directory: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another signer uses %s: %w (stop it, or give this one another data_dir)", dir, err), file.Close())
	}
	return file, nil
}

// peer gives the user at the other end, as the kernel knows it.
func peer(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("reading the peer's user: %w", err)
	}
	var (
		cred    *syscall.Ucred
		credErr error
	)
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, credErr); err != nil {
		return 0, fmt.Errorf("reading the peer's user: %w", err)
	}
	return int(cred.Uid), nil
}
