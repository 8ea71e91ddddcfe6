// Package policy keeps the last good policy, on the disk and in force, and hands it to the parts. A bundle becomes good by its
// signature, organisation and sequence, checked here with the key that was pinned at registration: the parts trust cloudsync.
// A part that hears nothing runs on what it has; one that never had a policy runs on built-in defaults, which is right only
// where there was no registration: with one, what the console published is on this disk, and is the answer to the first Watch.
package policy

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"

	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/policy"

	"github.com/sidelight/sidelight/cloudsync/internal/installation"
	"github.com/sidelight/sidelight/cloudsync/internal/wholefile"
)

const fileName = "policy.bundle"

// Store is the policy in force, and its file.
type Store struct {
	dir string
	log *slog.Logger
	// Refusals counts bundles that were not taken.
	Refusals atomic.Int64

	mu  sync.Mutex
	pin installation.Pin
	// bundle is in force; nil: none is, and sequence is 0.
	bundle   *policyv1.Bundle
	sequence uint64
	refused  string
	// changed is closed when another bundle is in force.
	changed chan struct{}
}

// NewStore makes an empty store of a directory.
func NewStore(dir string, log *slog.Logger) *Store {
	return &Store{dir: dir, log: log, changed: make(chan struct{})}
}

// Open takes the bundle on the disk, if it is still good under the pin. One that is not is not served.
func (s *Store) Open(pin installation.Pin) error {
	data, err := os.ReadFile(filepath.Join(s.dir, fileName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reading the policy: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pin = pin
	if err != nil {
		return nil
	}
	b := &policyv1.Bundle{}
	if err := proto.Unmarshal(data, b); err != nil {
		s.refuse(0, fmt.Errorf("the file on the disk cannot be read: %w", err))
		return nil
	}
	sequence, err := s.check(b)
	if err != nil {
		s.refuse(sequence, fmt.Errorf("the one on the disk is not served: %w", err))
		return nil
	}
	s.put(b, sequence)
	return nil
}

// Pin takes what a registration fixed. What another console or organisation decided is in force no more.
func (s *Store) Pin(pin installation.Pin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pin.Equal(pin) {
		return
	}
	s.pin = pin
	s.refused = ""
	s.put(nil, 0)
	s.log.Info("registered with another console or organisation: the policy of the one before is dropped")
	if err := wholefile.Remove(s.dir, fileName); err != nil {
		// It does not verify under the new key, so that no restart brings it back.
		s.log.Warn("the old policy's file stays, and is not used", logkey.Error, err)
	}
}

// Offer puts a bundle in force if it is good, and keeps the old one if not. An error means that a good one could not be kept,
// and so is not in force either: it shall come again.
func (s *Store) Offer(b *policyv1.Bundle) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sequence, err := s.check(b)
	switch {
	case err == nil && sequence == s.sequence && proto.Equal(b, s.bundle):
		return nil
	case err == nil && sequence <= s.sequence:
		err = fmt.Errorf("its sequence is not above %d, which is in force: a roll-back is old content under a new sequence", s.sequence)
	}
	if err != nil {
		s.refuse(sequence, err)
		return nil
	}
	data, err := proto.Marshal(b)
	if err == nil {
		err = wholefile.Replace(s.dir, fileName, data)
	}
	if err != nil {
		err = fmt.Errorf("it cannot be kept in data_dir: %w", err)
		s.refuse(sequence, err)
		return err
	}
	s.put(b, sequence)
	s.refused = ""
	s.log.Info("policy in force", "sequence", sequence)
	return nil
}

// check gives the sequence as far as it can be read, and what is wrong.
func (s *Store) check(b *policyv1.Bundle) (uint64, error) {
	m, err := policy.Verify(b, s.pin.PolicyKey)
	if err != nil {
		claimed := &policyv1.Manifest{}
		// Only to name it: nothing of it counts.
		_ = proto.Unmarshal(b.GetManifest(), claimed)
		return claimed.GetSequence(), err
	}
	if m.GetOrganisation() != s.pin.Organisation {
		return m.GetSequence(), errors.New("it is another organisation's")
	}
	_, err = policy.Content(b)
	return m.GetSequence(), err
}

func (s *Store) refuse(sequence uint64, err error) {
	s.Refusals.Add(1)
	reason := fmt.Sprintf("policy %d: %v", sequence, err)
	if reason != s.refused {
		s.log.Warn("a policy was refused; what was in force before stays so", "sequence", sequence, logkey.Error, err)
	}
	s.refused = reason
}

func (s *Store) put(b *policyv1.Bundle, sequence uint64) {
	s.bundle, s.sequence = b, sequence
	close(s.changed)
	s.changed = make(chan struct{})
}

// State is the sequence in force, 0 without, and why a newer one was refused.
func (s *Store) State() (sequence uint64, refused string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sequence, s.refused
}

// newest gives what is in force, and a channel that is closed when that changes.
func (s *Store) newest() (*policyv1.Bundle, uint64, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bundle, s.sequence, s.changed
}
