package signer

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/internal/policy"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
)

const (
	keyFile       = "policy.key"
	sequencesFile = "sequences.json"
	// Bounds of what the web process can make this one keep, should it be taken over.
	maxOrganisations = 10_000
	maxName          = 64
	maxEntries       = 16
	// maxJump keeps somebody who took over the web process from using up all sequences at once.
	maxJump = 1 << 20
)

// SequenceError refuses a sequence that is not above the last one that was signed, or too far above it.
type SequenceError struct{ Last uint64 }

func (e *SequenceError) Error() string {
	return fmt.Sprintf("the sequence must be above %d, the last that was signed, and at most %d above it", e.Last, maxJump)
}

// vault is the key and what was signed with it.
type vault struct {
	dir  string
	lock *os.File
	key  ed25519.PrivateKey

	mu sync.Mutex
	// last sequence by organisation, as it is on the disk.
	last map[string]uint64
}

// open reads the vault, and makes it the first time. A key that is lost is not made anew in silence: every installation
// would refuse what it signs.
func open(dir string) (*vault, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the signer's directory: %w", err)
	}
	if err := private(dir, 0o022); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	v := &vault{dir: dir, lock: lock, last: map[string]uint64{}}
	if err := v.load(); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

func (v *vault) close() { _ = v.lock.Close() }

func (v *vault) load() error {
	key, keyErr := readPrivate(filepath.Join(v.dir, keyFile))
	sequences, err := readPrivate(filepath.Join(v.dir, sequencesFile))
	switch {
	case errors.Is(keyErr, fs.ErrNotExist) && errors.Is(err, fs.ErrNotExist):
		return v.create()
	case err != nil:
		return fmt.Errorf("reading what was signed: %w (restore it from a backup that is not older than the last policy)", err)
	}
	if err := json.Unmarshal(sequences, &v.last); err != nil {
		return fmt.Errorf("reading what was signed: %s: %w (restore it)", sequencesFile, err)
	}
	if errors.Is(keyErr, fs.ErrNotExist) && len(v.last) == 0 {
		return v.create()
	}
	if keyErr != nil {
		return fmt.Errorf("reading the policy key: %w (restore it; with a new one every installation must register again: remove %s too for that)",
			keyErr, sequencesFile)
	}
	v.key, err = parseKey(key)
	return err
}

// create writes the key last: a start that was cut short is done again.
func (v *vault) create() error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("making the policy key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("encoding the policy key: %w", err)
	}
	if err := writeWhole(filepath.Join(v.dir, sequencesFile), []byte("{}\n")); err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(v.dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return err
	}
	v.key, v.last = private, map[string]uint64{}
	return nil
}

func parseKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM: restore it", keyFile)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (restore it)", keyFile, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a key that is not Ed25519: restore it", keyFile)
	}
	return key, nil
}

func (v *vault) public() ed25519.PublicKey {
	key, _ := v.key.Public().(ed25519.PublicKey)
	return key
}

// sign notes the sequence on the disk before it gives the signature away: after a crash between the two the sequence is lost,
// never used twice.
func (v *vault) sign(manifest []byte) (signature []byte, m *policyv1.Manifest, err error) {
	if m, err = readable(manifest); err != nil {
		return nil, nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	last, known := v.last[m.GetOrganisation()]
	if m.GetSequence() <= last || m.GetSequence()-last > maxJump {
		return nil, m, &SequenceError{Last: last}
	}
	if !known && len(v.last) >= maxOrganisations {
		return nil, m, fmt.Errorf("the signer knows %d organisations already, which is all that it keeps", maxOrganisations)
	}
	next := maps.Clone(v.last)
	next[m.GetOrganisation()] = m.GetSequence()
	text, err := json.Marshal(next)
	if err != nil {
		return nil, m, fmt.Errorf("encoding what was signed: %w", err)
	}
	if err := writeWhole(filepath.Join(v.dir, sequencesFile), text); err != nil {
		return nil, m, err
	}
	v.last = next
	return ed25519.Sign(v.key, policy.Signed(manifest)), m, nil
}

// errManifest refuses what no console of ours would ask for.
var errManifest = errors.New("not a manifest that can be signed: it needs an organisation, a sequence, and entries of a kind and a digest each")

func readable(manifest []byte) (*policyv1.Manifest, error) {
	m := &policyv1.Manifest{}
	if len(manifest) > maxManifest || proto.Unmarshal(manifest, m) != nil {
		return nil, errManifest
	}
	if m.GetOrganisation() == "" || len(m.GetOrganisation()) > maxName || m.GetSequence() == 0 || len(m.GetEntries()) > maxEntries {
		return nil, errManifest
	}
	for _, e := range m.GetEntries() {
		if e.GetKind() == policyv1.Kind_KIND_UNSPECIFIED || len(e.GetDigest()) != digestSize {
			return nil, errManifest
		}
	}
	return m, nil
}
