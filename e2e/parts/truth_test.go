package parts

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protojson"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// browser is the head that an ordinary browser sends, but for its first line.
const browser = "Host: shop.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n" +
	"Referer: https://shop.example.org/products?page=2\r\nCookie: theme=dark; consent=1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n" +
	"Sec-Fetch-Site: same-origin\r\nCache-Control: max-age=0\r\n"

// load is a generator whose own list is the truth: every request has a nonce, and each attack a point of its own, so that
// it becomes an attack of its own, whose hits can be counted.
type load struct {
	f *fleet
	// attackEvery: one in so many requests is an attack.
	attackEvery int
	n           atomic.Int64

	mu      sync.Mutex
	sent    map[string]time.Time // nonce → when it was sent, answered or not
	attacks map[string]bool      // nonces of attacks that were answered
	failed  int
}

func (f *fleet) newLoad(attackEvery int) *load {
	return &load{f: f, attackEvery: attackEvery, sent: map[string]time.Time{}, attacks: map[string]bool{}}
}

func nonce() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// attackPoint is the query parameter that holds the attack of a nonce.
func attackPoint(nonce string) string { return "n" + nonce[:16] }

// run sends requests at a rate over some connections until ctx ends or n are sent; 0 = as long as ctx.
func (l *load) run(ctx context.Context, perSecond, connections, n int) {
	interval := time.Duration(float64(time.Second) / float64(perSecond) * float64(connections))
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for c := range connections {
		wg.Go(func() {
			client := &wire{f: l.f}
			defer client.close()
			select {
			case <-ctx.Done():
				return
			case <-time.After(interval * time.Duration(c) / time.Duration(connections)):
			}
			next := time.Now()
			for ctx.Err() == nil && (n == 0 || left.Add(-1) >= 0) {
				l.one(client)
				// A late sender does not hurry to catch up beyond a second.
				if next = next.Add(interval); time.Since(next) > time.Second {
					next = time.Now()
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Until(next)):
				}
			}
		})
	}
	wg.Wait()
}

func (l *load) one(client *wire) {
	id := nonce()
	attack := l.attackEvery > 0 && l.n.Add(1)%int64(l.attackEvery) == 0
	target := "/fixed/page?item=" + id[:6]
	if attack {
		target = "/fixed/page?" + attackPoint(id) + "=1'%20UNION%20SELECT%20password%20FROM%20users--%20"
	}
	l.mu.Lock()
	l.sent[id] = time.Now()
	l.mu.Unlock()
	err := client.send("GET " + target + " HTTP/1.1\r\n" + browser + "traceparent: 00-" + id + "-" + id[:16] + "-01\r\n\r\n")
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		// Whether it was handled is not known: it counts neither way.
		delete(l.sent, id)
		l.failed++
		return
	}
	if attack {
		l.attacks[id] = true
	}
}

// wire is one kept connection to nginx.
type wire struct {
	f      *fleet
	conn   net.Conn
	reader *bufio.Reader
}

func (w *wire) send(text string) error {
	if w.conn == nil {
		conn, err := w.f.network.hub.dial(context.Background(), "tcp", w.f.site.address())
		if err != nil {
			return err
		}
		w.conn, w.reader = conn, bufio.NewReader(conn)
	}
	if err := w.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, err := io.WriteString(w.conn, text)
	if err == nil {
		var answer *http.Response
		if answer, err = http.ReadResponse(w.reader, nil); err == nil {
			_, err = io.Copy(io.Discard, answer.Body)
			if answer.Close {
				w.close()
			}
		}
	}
	if err != nil {
		w.close()
	}
	return err
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// dial connects to a part from the bridge, as an operator does unless told otherwise.
func (f *fleet) dial(p *process, port int, service string) *grpc.ClientConn {
	f.t.Helper()
	return f.dialAs(p, port, service, "operator")
}

func (f *fleet) dialAs(p *process, port int, service, identity string) *grpc.ClientConn {
	f.t.Helper()
	conn, err := grpc.NewClient(fmt.Sprintf("passthrough:///%s:%d", p.host.address, port),
		grpc.WithTransportCredentials(credentials.NewTLS(f.current(identity, service))),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return f.network.hub.dial(ctx, "tcp", address)
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// current proves itself, and verifies, with whatever authority the fleet has at the time of a handshake.
func (f *fleet) current(identity, server string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, ServerName: server,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &f.authority.client(leaf{service: identity}, server).Certificates[0], nil
		},
		InsecureSkipVerify: true, // the check is VerifyConnection's
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: f.authority.trusting(server).RootCAs, DNSName: server})
			return err
		},
	}
}

// journal reads all attacks of the cluster's record.
func (f *fleet) journal() []*detectionv1.Attack {
	f.t.Helper()
	client := cloudsyncv1.NewJournalServiceClient(f.dial(f.cloudsync, 7415, "cloudsync"))
	var list []*detectionv1.Attack
	for token := ""; ; {
		ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
		page, err := client.ListAttacks(ctx, &cloudsyncv1.ListAttacksRequest{PageSize: 1000, PageToken: token}, grpc.WaitForReady(true))
		cancel()
		require.NoError(f.t, err)
		list = append(list, page.GetAttacks()...)
		if token = page.GetNextPageToken(); token == "" {
			return list
		}
	}
}

// compare holds the journal against the generator's own list: what is missing, and what was counted twice.
func (l *load) compare() (missing, twice []string) {
	l.f.t.Helper()
	counts := map[string]uint64{}
	for _, a := range l.f.journal() {
		if point, found := strings.CutPrefix(a.GetPoint(), "query."); found && a.GetType() == "sqli" {
			counts[point] += a.GetHitCount()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.attacks {
		switch counts[attackPoint(id)] {
		case 0:
			missing = append(missing, id)
		case 1:
		default:
			twice = append(twice, id)
		}
	}
	return missing, twice
}

// settle waits until the journal holds every attack once, and fails if it does not within the time.
func (l *load) settle(t testing.TB, within time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		missing, twice := l.compare()
		require.Empty(t, twice, "counted twice")
		if len(missing) == 0 {
			return time.Since(start)
		}
		if time.Since(start) > within {
			require.Empty(t, missing, "%d of %d attacks are not in the journal", len(missing), len(l.attacks))
		}
		<-time.After(200 * time.Millisecond)
	}
}

// tail collects what both aggregators show, by nonce.
type tail struct {
	mu   sync.Mutex
	seen map[string]*processorv1.Summary
	at   map[string]time.Time
	all  map[string][]*processorv1.Summary
	// complete: some revision of it was inspected whole.
	complete map[string]bool
	dropped  uint64
}

// watch subscribes to every aggregator, again and again while they come and go.
func (f *fleet) watch(ctx context.Context, filter string) *tail {
	f.t.Helper()
	w := &tail{seen: map[string]*processorv1.Summary{}, at: map[string]time.Time{}, all: map[string][]*processorv1.Summary{}, complete: map[string]bool{}}
	var open sync.WaitGroup
	for _, p := range f.aggregators {
		client := aggregatorv1.NewTailServiceClient(f.dial(p, 7412, "aggregator"))
		open.Add(1)
		opened := sync.OnceFunc(open.Done)
		go func() {
			for ctx.Err() == nil {
				_ = w.read(ctx, client, filter, opened)
				select {
				case <-ctx.Done():
				case <-time.After(200 * time.Millisecond):
				}
			}
			opened()
		}()
	}
	open.Wait()
	return w
}

func (w *tail) read(ctx context.Context, client aggregatorv1.TailServiceClient, filter string, opened func()) error {
	stream, err := client.Tail(ctx, &aggregatorv1.TailRequest{Filter: filter})
	if err != nil {
		return err
	}
	if _, err := stream.Header(); err != nil {
		return err
	}
	opened()
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		w.add(m)
	}
}

func (w *tail) add(m *aggregatorv1.TailResponse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropped += m.GetDropped()
	s := m.GetSummary()
	id := s.GetRequest().GetTraceId()
	if s == nil || s.GetDuplicate() {
		return
	}
	if w.seen[id] == nil {
		w.at[id] = time.Now()
	}
	w.seen[id] = s
	w.all[id] = append(w.all[id], s)
	w.complete[id] = w.complete[id] || s.GetComplete()
}

func (w *tail) of(id string) (first time.Time, all []*processorv1.Summary) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at[id], append([]*processorv1.Summary(nil), w.all[id]...)
}

func (w *tail) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen)
}

// statuses is the newest report of every part, by instance.
func (f *fleet) statuses() (map[string]*statusv1.PartStatus, []*statusv1.BlindInterval) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer cancel()
	list, err := cloudsyncv1.NewStatusServiceClient(f.dial(f.cloudsync, 7415, "cloudsync")).ListStatus(ctx, &cloudsyncv1.ListStatusRequest{}, grpc.WaitForReady(true))
	require.NoError(f.t, err)
	byInstance := map[string]*statusv1.PartStatus{}
	for _, p := range list.GetParts() {
		byInstance[p.GetPart()+"/"+p.GetInstance()] = p
	}
	return byInstance, list.GetBlindIntervals()
}

// statusOf is what a part says of itself on its operators' port.
func (f *fleet) statusOf(p *process) *statusv1.PartStatus {
	f.t.Helper()
	s := &statusv1.PartStatus{}
	require.NoError(f.t, f.ops(p, "/statusz", func(r *http.Response) error {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(text, s)
	}))
	return s
}

// accessNonces is nginx's own word on what it answered.
func (f *fleet) accessNonces() map[string]bool {
	f.t.Helper()
	text, err := os.ReadFile(f.site.accessLog())
	require.NoError(f.t, err)
	found := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if parts := strings.Split(line, "-"); len(parts) > 1 && len(parts[1]) == 32 {
			found[parts[1]] = true
		}
	}
	return found
}

// until polls a condition; there is no event to wait for where another process changes.
func until(t testing.TB, within time.Duration, what string, ok func() error) time.Duration {
	t.Helper()
	start := time.Now()
	var err error
	for time.Since(start) < within {
		if err = ok(); err == nil {
			return time.Since(start)
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Fatalf("%s: %v", what, err)
	return 0
}

var errNotYet = errors.New("not yet")

// awaitMirrored sends until something is seen: the agent has found nginx.
func (f *fleet) awaitMirrored() {
	f.t.Helper()
	ctx, stop := context.WithCancel(f.t.Context())
	defer stop()
	w := f.watch(ctx, "")
	l := f.newLoad(0)
	client := &wire{f: f}
	defer client.close()
	until(f.t, 30*time.Second, "the agent sees nginx", func() error {
		l.one(client)
		if w.count() == 0 {
			return errNotYet
		}
		return nil
	})
}
