package serve

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/sidelight/sidelight/internal/logkey"
)

// poll is how often the files are read again.
const poll = 5 * time.Second

// pair is a certificate in files that may be replaced at any time. It is read by the handshakes, at most once per
// poll, and a bad read keeps what was there.
type pair struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu        sync.Mutex
	read      time.Time
	cert, key []byte
	current   *tls.Certificate
}

func (p *pair) get() (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.current != nil && now.Sub(p.read) < poll {
		return p.current, nil
	}
	p.read = now
	if err := p.load(); err != nil {
		if p.current == nil {
			return nil, err
		}
		p.log.Warn("keeping the old certificate", logkey.Error, err)
	}
	return p.current, nil
}

func (p *pair) load() error {
	cert, err := os.ReadFile(p.certFile)
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	key, err := os.ReadFile(p.keyFile)
	if err != nil {
		return fmt.Errorf("reading the certificate's key: %w", err)
	}
	if p.current != nil && bytes.Equal(cert, p.cert) && bytes.Equal(key, p.key) {
		return nil
	}
	made, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("certificate %s and key %s do not fit: %w", p.certFile, p.keyFile, err)
	}
	p.cert, p.key, p.current = cert, key, &made
	return nil
}
