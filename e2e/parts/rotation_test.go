package parts

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Certificates, and then their CA, are replaced under load while connections are renewed every 5 s.
func TestRotationUnderLoad(t *testing.T) {
	f := newFleet(t, options{authority: 45 * time.Second, age: "5s"})
	old := f.authority
	oldLeaf := old.client(leaf{service: "operator"}, "cloudsync")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	// Every request is an attack: so the journal tells of each, and of each once.
	l := f.newLoad(1)
	loaded := make(chan struct{})
	loading, enough := context.WithCancel(ctx)
	defer enough()
	go func() { defer close(loaded); l.run(loading, 100, 4, 0) }()

	f.issue(f.authority)
	f.awaitSerials("new leaves of the old CA")

	// The new CA joins the bundle before anything is issued by it, and the old one leaves it afterwards.
	next := newAuthority(t, 24*time.Hour)
	next.bundle = append(append([]byte(nil), next.bundle...), old.bundle...)
	f.eachCertified(func(p *process) { next.writeBundle(f.certs(p), p.uid) })
	<-time.After(2 * time.Second) // two polls
	f.authority = next
	f.issue(next)
	f.awaitSerials("leaves of the new CA")
	next.bundle = next.ca.BundlePEM()
	f.eachCertified(func(p *process) { next.writeBundle(f.certs(p), p.uid) })

	broken := f.processor[0]
	certificate := filepath.Join(f.certs(broken), "tls.crt")
	good, err := os.ReadFile(certificate)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(certificate, good[:len(good)/2], 0o644))
	until(t, 10*time.Second, "a broken file is said to be", func() error {
		if text, _ := os.ReadFile(broken.logFile()); !strings.Contains(string(text), "what was read before stays in use") {
			return errNotYet
		}
		return nil
	})
	require.NotEqual(t, "0", f.metric(broken, `sidelight_tls_reload_total{result="failed"}`))
	require.NoError(t, f.handshake(broken.host.address+":7413", next.client(leaf{service: "operator"}, "processor")), "the old pair is in use")
	require.NoError(t, os.WriteFile(certificate, good, 0o644))

	<-time.After(time.Until(old.ends) + 3*time.Second) // the old CA ends, and with it the trust in its leaves
	// Connections of every hop are renewed once more, with nothing but the new CA.
	<-time.After(7 * time.Second)
	enough()
	<-loaded
	require.Zero(t, l.failed, "requests that nginx did not answer")
	require.Greater(t, len(l.sent), 1000)
	l.settle(t, 20*time.Second)
	require.ErrorAs(t, f.handshake(f.cloudsync.host.address+":7415", oldLeaf), &refused{}, "a leaf of the old CA")
	require.NoError(t, f.handshake(f.cloudsync.host.address+":7415", next.client(leaf{service: "operator"}, "cloudsync")))
}

// eachCertified calls for every process that has a certificate.
func (f *fleet) eachCertified(do func(*process)) {
	for _, p := range f.processes {
		if f.services[p.name] != "" {
			do(p)
		}
	}
}

// issue gives every part a new certificate.
func (f *fleet) issue(a *authority) {
	f.t.Helper()
	f.eachCertified(func(p *process) { a.write(f.certs(p), f.leaves[p.name], p.uid) })
}

// awaitSerials waits until every part uses the certificate that is in its files: as a client by its own metrics, as a
// server by what it shows.
func (f *fleet) awaitSerials(what string) {
	f.t.Helper()
	f.eachCertified(func(p *process) {
		text, err := os.ReadFile(filepath.Join(f.certs(p), "tls.crt"))
		require.NoError(f.t, err)
		block, _ := pem.Decode(text)
		certificate, err := x509.ParseCertificate(block.Bytes)
		require.NoError(f.t, err)
		want := certificate.SerialNumber.Text(16)
		until(f.t, 15*time.Second, what+": "+p.name, func() error {
			if f.services[p.name] != "console" && f.metric(p, fmt.Sprintf("sidelight_tls_certificate_info{serial=%q}", want)) != "1" {
				return errNotYet
			}
			for _, port := range p.listening(f.t) {
				if got := f.serialAt(fmt.Sprintf("%s:%d", p.host.address, port)); got != want {
					return fmt.Errorf("port %d shows %s, want %s", port, got, want)
				}
			}
			return nil
		})
	})
}

// serialAt is the serial number of the certificate that a port shows to anybody.
func (f *fleet) serialAt(address string) string {
	conn, err := f.network.hub.dial(f.t.Context(), "tcp", address)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	// Only the serial is looked at.
	secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err := secured.HandshakeContext(f.t.Context()); err != nil {
		return err.Error()
	}
	return secured.ConnectionState().PeerCertificates[0].SerialNumber.Text(16)
}

// metric is the value of one line of a part's metrics, "0" if there is none.
func (f *fleet) metric(p *process, line string) string {
	value := "0"
	_ = f.ops(p, "/metrics", func(r *http.Response) error {
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			if rest, found := strings.CutPrefix(lines.Text(), line+" "); found {
				value = rest
			}
		}
		return lines.Err()
	})
	return value
}
