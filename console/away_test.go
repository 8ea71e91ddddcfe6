package console

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/pg/pgtest"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
)

// cable is what lies between a console and its database; it can be pulled and put back.
type cable struct {
	t       *testing.T
	network string
	real    string
	dir     string

	mu    sync.Mutex
	l     net.Listener
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

const cablePort = 5432

func newCable(t *testing.T, dsn string) (*cable, string) {
	t.Helper()
	to, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	dir := t.TempDir()
	c := &cable{t: t, dir: dir, conns: map[net.Conn]struct{}{}, network: "tcp",
		real: net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port)))}
	if filepath.IsAbs(to.Host) {
		c.network, c.real = "unix", filepath.Join(to.Host, fmt.Sprintf(".s.PGSQL.%d", to.Port))
	}
	t.Cleanup(c.pull)
	q := url.Values{"host": {dir}, "port": {strconv.Itoa(cablePort)}, "user": {to.User}, "password": {to.Password}, "sslmode": {"disable"}}
	return c, "postgres:///" + to.Database + "?" + q.Encode()
}

func (c *cable) plug() {
	c.t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", filepath.Join(c.dir, fmt.Sprintf(".s.PGSQL.%d", cablePort)))
	require.NoError(c.t, err)
	c.mu.Lock()
	c.l = l
	c.mu.Unlock()
	c.wg.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial(c.network, c.real)
			if err != nil {
				_ = a.Close()
				continue
			}
			c.join(a, b)
		}
	})
}

func (c *cable) join(a, b net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[a], c.conns[b] = struct{}{}, struct{}{}
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		c.wg.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = a.Close()
			_ = b.Close()
		})
	}
}

func (c *cable) pull() {
	c.mu.Lock()
	if c.l != nil {
		_ = c.l.Close()
	}
	for conn := range c.conns {
		_ = conn.Close()
	}
	clear(c.conns)
	c.mu.Unlock()
	c.wg.Wait()
}

func TestDatabaseAwayAtStartAndLater(t *testing.T) {
	t.Parallel()
	// An empty database: the console makes its schema when it is there.
	line, dsn := newCable(t, pgtest.DSN(t))
	h := newHarness(t, dsn)
	h.run()
	ctx := t.Context()
	require.Eventually(t, func() bool { return h.service.UIAddr() != "" && h.service.UplinkAddr() != "" }, 5*time.Second, time.Millisecond)

	require.ErrorContains(t, h.service.Ready(), "database")
	client := &http.Client{Transport: h.transport()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url()+"/", nil)
	require.NoError(t, err)
	res, err := client.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.Equal(t, "the console is waiting for its database: try again in a moment\n", string(body))
	require.Contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'self'")
	_, err = h.browser().login(ctx, "admin", "x")
	requireCode(t, connect.CodeUnavailable, err)
	_, err = h.uplink().Register(ctx, connect.NewRequest(&consolev1.RegisterRequest{}))
	requireCode(t, connect.CodeUnavailable, err)

	line.plug()
	h.waitOpen()
	b, c := h.signedIn(), h.register("east")
	changes, ended := watch(t, b)
	require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{Attacks: []*detectionv1.Attack{attack("a", 1, noon)}}))
	require.True(t, next(t, changes).attacks)

	line.pull()
	_, err = b.whoAmI(ctx)
	requireCode(t, connect.CodeUnavailable, err)
	requireCode(t, connect.CodeUnavailable, c.upload(ctx, &consolev1.UploadRequest{Attacks: []*detectionv1.Attack{attack("a", 2, noon)}}))
	require.Error(t, h.service.Ready())

	line.plug()
	h.waitOpen()
	require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{Attacks: []*detectionv1.Attack{attack("a", 3, noon)}}))
	require.EqualValues(t, 3, getAttack(t, b, "east", "a").GetVersion())
	select {
	case err := <-ended:
		// The page was told why; it connects again.
		requireCode(t, connect.CodeUnavailable, err)
	case got := <-changes:
		require.True(t, got.attacks, "an open page looks again")
	case <-time.After(15 * time.Second):
		require.FailNow(t, "an open page was forgotten")
	}
}
