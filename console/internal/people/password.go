// Package people knows who may use the console: passwords, the one-time admin secret, sessions, and the gate that
// every request of a person passes.
package people

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost of argon2id as OWASP names it: 19 MiB, two passes, one lane. Written into each hash, so it can grow.
const (
	memoryKiB = 19 << 10
	passes    = 2
	saltSize  = 16
	keySize   = 32
	// maxPassword bounds the work that a stranger can cause.
	maxPassword = 256
	minPassword = 12
)

var errHash = errors.New("stored password hash cannot be read")

// hasher hashes at most two passwords at a time, so that a flood of logins cannot take all memory.
type hasher struct {
	slots chan struct{}
	// decoy is what the password of an unknown user is compared with, so that both cases take the same time.
	decoy string
}

func newHasher() *hasher {
	h := &hasher{slots: make(chan struct{}, 2)}
	h.decoy = encode(make([]byte, saltSize), make([]byte, keySize))
	return h
}

func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt)
	key, err := h.derive(ctx, password, salt, memoryKiB, passes, keySize)
	if err != nil {
		return "", err
	}
	return encode(salt, key), nil
}

func (h *hasher) verify(ctx context.Context, encoded, password string) (bool, error) {
	memory, times, salt, want, err := decode(encoded)
	if err != nil {
		return false, err
	}
	got, err := h.derive(ctx, password, salt, memory, times, uint32(len(want)))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

func (h *hasher) derive(ctx context.Context, password string, salt []byte, memory, times, size uint32) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to check a password: %w", ctx.Err())
	}
	return argon2.IDKey([]byte(password), salt, times, memory, 1, size), nil
}

func encode(salt, key []byte) string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, memoryKiB, passes, b.EncodeToString(salt), b.EncodeToString(key))
}

func decode(encoded string) (memory, times uint32, salt, key []byte, err error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return 0, 0, nil, nil, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=1", &memory, &times); err != nil ||
		memory < 8 || memory > 1<<20 || times < 1 || times > 100 {
		return 0, 0, nil, nil, errHash
	}
	b := base64.RawStdEncoding
	if salt, err = b.DecodeString(parts[4]); err != nil || len(salt) < 8 {
		return 0, 0, nil, nil, errHash
	}
	if key, err = b.DecodeString(parts[5]); err != nil || len(key) < 16 || len(key) > 128 {
		return 0, 0, nil, nil, errHash
	}
	return memory, times, salt, key, nil
}

// acceptable says what is wrong with a new password.
func acceptable(password, user string) error {
	switch {
	case len([]rune(password)) < minPassword:
		return fmt.Errorf("the new password is too short: at least %d characters", minPassword)
	case len(password) > maxPassword:
		return fmt.Errorf("the new password is too long: at most %d bytes", maxPassword)
	case strings.EqualFold(password, user):
		return errors.New("the new password is the user name: choose another")
	default:
		return nil
	}
}
