// Package policy knows the shape of what people decided: sealed bundles, what is in them, and a part's watch on them.
package policy

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
)

const (
	// signatureContext keeps a signature over a policy from being one over anything else.
	signatureContext = "sidelight-policy\n"
	// Bounds of a bundle, far over what people write.
	maxEntries = 16
	maxContent = 8 << 20
)

// Policy is what people decided. What is nil means the built-in default.
type Policy struct {
	Sequence     uint64
	Organisation string
	Rules        *policyv1.Rules
	Masks        *policyv1.Masks
	Budgets      *policyv1.Budgets
	Trusted      *policyv1.TrustedCidrs
}

// pieces pairs each kind with where its content goes.
func (p *Policy) pieces() map[policyv1.Kind]proto.Message {
	return map[policyv1.Kind]proto.Message{
		policyv1.Kind_KIND_RULES: p.Rules, policyv1.Kind_KIND_MASKS: p.Masks,
		policyv1.Kind_KIND_BUDGETS: p.Budgets, policyv1.Kind_KIND_TRUSTED_CIDRS: p.Trusted,
	}
}

// kinds is the order of a manifest's entries.
var kinds = []policyv1.Kind{
	policyv1.Kind_KIND_RULES, policyv1.Kind_KIND_MASKS, policyv1.Kind_KIND_BUDGETS, policyv1.Kind_KIND_TRUSTED_CIDRS,
}

// Seal puts content under a manifest that has everything but its entries. The manifest is given as the bytes to be signed.
func Seal(m *policyv1.Manifest, content Policy) (manifest []byte, blobs []*policyv1.Blob, err error) {
	m = proto.CloneOf(m)
	m.Entries = nil
	pieces := content.pieces()
	for _, kind := range kinds {
		piece := pieces[kind]
		if !piece.ProtoReflect().IsValid() {
			continue
		}
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(piece)
		if err != nil {
			return nil, nil, fmt.Errorf("sealing a policy: %w", err)
		}
		digest := sha256.Sum256(data)
		m.Entries = append(m.Entries, &policyv1.Entry{Kind: kind, Digest: digest[:]})
		blobs = append(blobs, &policyv1.Blob{Digest: digest[:], Content: data})
	}
	if manifest, err = proto.Marshal(m); err != nil {
		return nil, nil, fmt.Errorf("sealing a policy: %w", err)
	}
	return manifest, blobs, nil
}

// Signed gives the very bytes that are signed.
func Signed(manifest []byte) []byte { return append([]byte(signatureContext), manifest...) }

// Verify checks a bundle's signature, and that its content is what the manifest names.
func Verify(b *policyv1.Bundle, key ed25519.PublicKey) (*policyv1.Manifest, error) {
	if len(key) != ed25519.PublicKeySize {
		return nil, errors.New("no policy key is pinned: register with the console anew")
	}
	if !ed25519.Verify(key, Signed(b.GetManifest()), b.GetSignature()) {
		return nil, errors.New("the policy's signature is not of the key that was pinned at registration")
	}
	m, _, err := open(b)
	return m, err
}

// Content decodes a bundle whose signature was checked before.
func Content(b *policyv1.Bundle) (Policy, error) {
	m, contents, err := open(b)
	if err != nil {
		return Policy{}, err
	}
	p := Policy{
		Sequence: m.GetSequence(), Organisation: m.GetOrganisation(),
		Rules: &policyv1.Rules{}, Masks: &policyv1.Masks{}, Budgets: &policyv1.Budgets{}, Trusted: &policyv1.TrustedCidrs{},
	}
	pieces, present := p.pieces(), map[policyv1.Kind]bool{}
	for i, entry := range m.GetEntries() {
		piece, known := pieces[entry.GetKind()]
		if !known {
			// A newer console may decide what this release does not know; it must not be thought to obey.
			return Policy{}, fmt.Errorf("the policy holds %s, which this release cannot obey: upgrade this installation", entry.GetKind())
		}
		if err := proto.Unmarshal(contents[i], piece); err != nil {
			return Policy{}, fmt.Errorf("the policy's %s cannot be read: %w", entry.GetKind(), err)
		}
		present[entry.GetKind()] = true
	}
	p.forget(present)
	return p, nil
}

// forget leaves nil what the manifest does not name.
func (p *Policy) forget(present map[policyv1.Kind]bool) {
	if !present[policyv1.Kind_KIND_RULES] {
		p.Rules = nil
	}
	if !present[policyv1.Kind_KIND_MASKS] {
		p.Masks = nil
	}
	if !present[policyv1.Kind_KIND_BUDGETS] {
		p.Budgets = nil
	}
	if !present[policyv1.Kind_KIND_TRUSTED_CIDRS] {
		p.Trusted = nil
	}
}

// open reads the manifest and finds the content of each entry, in order.
func open(b *policyv1.Bundle) (*policyv1.Manifest, [][]byte, error) {
	m := &policyv1.Manifest{}
	if err := proto.Unmarshal(b.GetManifest(), m); err != nil {
		return nil, nil, fmt.Errorf("the policy's manifest cannot be read: %w", err)
	}
	if m.GetSequence() == 0 {
		return nil, nil, errors.New("the policy has no sequence")
	}
	if len(m.GetEntries()) > maxEntries {
		return nil, nil, fmt.Errorf("the policy has %d entries, want at most %d", len(m.GetEntries()), maxEntries)
	}
	seen, total := map[policyv1.Kind]bool{}, 0
	contents := make([][]byte, 0, len(m.GetEntries()))
	for _, entry := range m.GetEntries() {
		if seen[entry.GetKind()] {
			return nil, nil, fmt.Errorf("the policy holds %s twice", entry.GetKind())
		}
		seen[entry.GetKind()] = true
		content, found := find(b.GetBlobs(), entry.GetDigest())
		if !found {
			return nil, nil, fmt.Errorf("the content of the policy's %s is not what the manifest names", entry.GetKind())
		}
		if total += len(content); total > maxContent {
			return nil, nil, fmt.Errorf("the policy is over %d bytes", maxContent)
		}
		contents = append(contents, content)
	}
	return m, contents, nil
}

// find trusts no digest that a blob says of itself.
func find(blobs []*policyv1.Blob, digest []byte) ([]byte, bool) {
	for _, blob := range blobs {
		sum := sha256.Sum256(blob.GetContent())
		if bytes.Equal(sum[:], digest) {
			return blob.GetContent(), true
		}
	}
	return nil, false
}
