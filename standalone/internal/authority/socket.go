package authority

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidelight/sidelight/internal/logkey"
)

// Credentials is what an operator's tool needs: PEM texts, and where the parts listen.
type Credentials struct {
	Certificate []byte            `json:"certificate"`
	Key         []byte            `json:"key"`
	CA          []byte            `json:"ca"`
	Addresses   map[string]string `json:"addresses"`
}

// answerWithin bounds one request on the socket.
const answerWithin = 5 * time.Second

// Serve hands operator credentials to whoever may open the socket and runs as root or as the launcher's user.
func (a *Authority) Serve(ctx context.Context, path string, addresses func() map[string]string) error {
	// A socket of an earlier life that was killed.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the old operator socket: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("opening the operator socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(fmt.Errorf("closing the operator socket to others: %w", err), listener.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	for {
		conn, err := listener.AcceptUnix()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting on the operator socket: %w", err)
		}
		a.answer(conn, addresses())
	}
}

func (a *Authority) answer(conn *net.UnixConn, addresses map[string]string) {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return
	}
	uid, err := peer(conn)
	if err != nil || (uid != 0 && int(uid) != os.Getuid()) {
		a.log.Warn("refused an operator certificate", "uid", uid, logkey.Error, err)
		return
	}
	credentials, err := a.Operator()
	if err != nil {
		a.log.Error("operator certificate", logkey.Error, err)
		return
	}
	credentials.Addresses = addresses
	a.log.Info("gave an operator certificate", "uid", uid)
	// A reader that went away has nothing to be told.
	_ = json.NewEncoder(conn).Encode(credentials)
}

func peer(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("reading the peer's user: %w", err)
	}
	var (
		cred    *unix.Ucred
		credErr error
	)
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, fmt.Errorf("reading the peer's user: %w", err)
	}
	if credErr != nil {
		return 0, fmt.Errorf("reading the peer's user: %w", credErr)
	}
	return cred.Uid, nil
}

// Fetch asks a running launcher for operator credentials.
func Fetch(ctx context.Context, path string) (Credentials, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return Credentials{}, fmt.Errorf("asking for an operator certificate: %w (is `sidelight run` up, with this data_dir, and are you its user or root?)", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return Credentials{}, fmt.Errorf("asking for an operator certificate: %w", err)
	}
	var credentials Credentials
	if err := json.NewDecoder(conn).Decode(&credentials); err != nil {
		return Credentials{}, fmt.Errorf("reading the operator certificate: %w (the launcher's log says why it refused)", err)
	}
	return credentials, nil
}
