package standalone

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sidelight/sidelight/internal/config"
)

// keptSecret reads a random secret of this installation, and makes it the first time.
func keptSecret(dir, name string) (config.Secret, error) {
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if err == nil {
		return config.Secret(text), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("reading secret %s: %w", name, err)
	}
	fresh, err := newSecret()
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, []byte(fresh.Reveal()), 0o600); err != nil {
		return "", fmt.Errorf("keeping secret %s: %w", name, err)
	}
	return fresh, nil
}

func newSecret() (config.Secret, error) {
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return "", fmt.Errorf("drawing a secret: %w", err)
	}
	return config.Secret(hex.EncodeToString(random)), nil
}
