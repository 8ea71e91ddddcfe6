package signer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const digestSize = sha256.Size

// readPrivate reads a file that nobody but this process's user may read.
func readPrivate(path string) ([]byte, error) {
	if err := private(path, 0o077); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// private says who else has the forbidden rights on a file or directory.
func private(path string, forbidden os.FileMode) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return fmt.Errorf("%s is neither a file nor a directory", path)
	}
	if info.Mode().Perm()&forbidden != 0 {
		return fmt.Errorf("%s has mode %04o, so that others reach it: chmod %04o", path, info.Mode().Perm(), info.Mode().Perm()&^forbidden)
	}
	return owned(path, info)
}

// writeWhole replaces a file so that it is whole on the disk after any crash: the old content, or the new.
func writeWhole(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(file.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
