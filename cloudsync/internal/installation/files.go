package installation

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sidelight/sidelight/cloudsync/internal/wholefile"
)

const (
	keyFile   = "installation.key"
	knownFile = "installation.json"
)

// known is what the console said at registration.
type known struct {
	Installation string `json:"installation"`
	Organisation string `json:"organisation"`
	// PolicyKey signs policy bundles; pinned.
	PolicyKey []byte `json:"policy_key"`
	// Token is the hash of the token that was used, and Cluster the name: others in the configuration mean to register anew.
	Token   string `json:"token_sha256"`
	Cluster string `json:"cluster"`
}

// Pin is what registration fixed: whose policy this installation obeys, and the key that proves it. It is empty before.
type Pin struct {
	Organisation string
	PolicyKey    ed25519.PublicKey
}

// Equal tells whether both name the same console.
func (p Pin) Equal(other Pin) bool {
	return p.Organisation == other.Organisation && p.PolicyKey.Equal(other.PolicyKey)
}

func (k known) pin() Pin { return Pin{k.Organisation, ed25519.PublicKey(k.PolicyKey)} }

// Pinned reads what the last registration fixed, also where no console is configured any more.
func Pinned(dir string) (Pin, error) {
	k, err := readKnown(dir)
	return k.pin(), err
}

func readKnown(dir string) (known, error) {
	path := filepath.Join(dir, knownFile)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return known{}, nil
	case err != nil:
		return known{}, fmt.Errorf("reading the registration: %w", err)
	}
	var k known
	if err := json.Unmarshal(text, &k); err != nil {
		return known{}, fmt.Errorf("%s is damaged: remove it, and register again: %w", path, err)
	}
	return k, nil
}

func keep(dir string, k known) error {
	text, err := json.Marshal(k)
	if err == nil {
		err = wholefile.Replace(dir, knownFile, text)
	}
	if err != nil {
		return fmt.Errorf("keeping the registration: %w", err)
	}
	return nil
}

// key reads the installation's key, and makes it the first time: before it is registered, so that an answer that got lost
// costs nothing.
func key(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, keyFile)
	seed, err := os.ReadFile(path)
	switch {
	case err == nil && len(seed) == ed25519.SeedSize:
		return ed25519.NewKeyFromSeed(seed), nil
	case err == nil:
		return nil, fmt.Errorf("%s is damaged: remove it, and register with a new token", path)
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("reading the installation's key: %w", err)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the installation's key: %w", err)
	}
	if err := wholefile.Replace(dir, keyFile, private.Seed()); err != nil {
		return nil, fmt.Errorf("keeping the installation's key: %w", err)
	}
	return private, nil
}
