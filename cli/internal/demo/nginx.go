package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/sidelight/sidelight/examples/shop"
)

// site is the shop behind a real nginx of its own.
type site struct {
	dir, binary string
	// Addresses that nginx listens on: in the clear, and with TLS.
	address, tlsAddress string
	// sockets are those of the two, until nginx has them.
	sockets []*os.File
}

const nginxConf = `daemon off;
worker_processes 2;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log warn;
events { worker_connections 512; }
http {
  access_log off;
  server_tokens off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  client_max_body_size 8m;
  upstream shop { server %[2]s; keepalive 8; }
  server {
    listen %[3]s;
    listen %[4]s ssl;
    ssl_certificate %[1]s/shop.crt;
    ssl_certificate_key %[1]s/shop.key;
    location / {
      proxy_pass http://shop;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }
  }
}
`

func newSite(ctx context.Context, dir string) (*site, error) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		// Debian keeps it out of ordinary users' PATH.
		binary = "/usr/sbin/nginx"
		if _, err := os.Stat(binary); err != nil {
			return nil, errors.New("there is no nginx: apt-get install nginx-light, or use `make demo`, which does")
		}
	}
	s := &site{dir: dir, binary: binary}
	for _, address := range []*string{&s.address, &s.tlsAddress} {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("finding a free port: %w", err), s.close())
		}
		*address = listener.Addr().String()
		file, err := listener.(*net.TCPListener).File()
		if err = errors.Join(err, listener.Close()); err != nil {
			return nil, errors.Join(fmt.Errorf("keeping port %s for nginx: %w", *address, err), s.close())
		}
		s.sockets = append(s.sockets, file)
	}
	return s, nil
}

// close lets go of sockets that nginx did not get, or has by now.
func (s *site) close() error {
	var all []error
	for _, socket := range s.sockets {
		all = append(all, socket.Close())
	}
	s.sockets = nil
	return errors.Join(all...)
}

// runShop serves the shop itself.
func (s *site) runShop(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: shop.Handler(), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); ctx.Err() == nil {
		return fmt.Errorf("shop: %w", err)
	}
	return nil
}

// runNginx is up until ctx ends; an nginx that ends before is an error that says how.
func (s *site) runNginx(ctx context.Context, upstream string) error {
	conf := filepath.Join(s.dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, s.dir, upstream, s.address, s.tlsAddress), 0o644); err != nil {
		return fmt.Errorf("writing nginx.conf: %w", err)
	}
	if err := s.writeCertificate(); err != nil {
		return fmt.Errorf("making nginx's certificate: %w", err)
	}
	cmd := exec.CommandContext(ctx, s.binary, "-p", s.dir, "-c", conf, "-e", filepath.Join(s.dir, "error.log"))
	// A demo that is killed takes nginx along. The signal comes when this thread ends: it is kept until nginx has.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	// It gets its sockets as at an upgrade of its program: no other program can take the ports meanwhile.
	cmd.ExtraFiles, cmd.Env = s.sockets, append(os.Environ(), "NGINX=3;4;")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Start()
	if err = errors.Join(err, s.close()); err == nil {
		err = cmd.Wait()
	}
	// Workers outlive a master that was killed; the group is this nginx and nothing else.
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	output := said.Bytes()[max(0, said.Len()-400):]
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("nginx exited: %w %s", err, output)
	}
	return fmt.Errorf("nginx ended by itself: %s", output)
}

// waitFor dials until the address answers.
func waitFor(ctx context.Context, address string) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", address, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
