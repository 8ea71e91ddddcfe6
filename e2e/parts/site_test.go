package parts

import (
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"

	"github.com/stretchr/testify/require"
)

// site is the shop behind a real nginx, both on the node.
type site struct {
	shop, nginx *process
	port        int
}

func (s *site) address() string { return fmt.Sprintf("%s:%d", s.nginx.host.address, s.port) }

// accessLog is nginx's own word on what it answered: the nonce of each request.
func (s *site) accessLog() string { return filepath.Join(s.nginx.dir, "access.log") }

func (f *fleet) newSite() *site {
	f.t.Helper()
	host := f.network.host("node")
	// No other nginx of this machine listens there: the filter names executable and port.
	s := &site{shop: f.processOn("shop", host), nginx: f.processOn("nginx", host), port: 20000 + mathrand.IntN(10000)}
	s.shop.argv = []string{filepath.Join(binaries, "shop"), "-listen", "127.0.0.1:8081"}
	s.shop.start()
	conf := filepath.Join(s.nginx.dir, "nginx.conf")
	require.NoError(f.t, os.WriteFile(conf, fmt.Appendf(nil, `daemon off;
worker_processes 2;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log warn;
events { worker_connections 1024; }
http {
  log_format nonce '$http_traceparent $status $request_length';
  access_log %[1]s/access.log nonce;
  server_tokens off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  client_max_body_size 200m;
  keepalive_requests 100000;
  upstream shop { server 127.0.0.1:8081; keepalive 16; }
  server {
    listen %[2]s;
    location / {
      proxy_pass http://shop;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }
    location /fixed { return 200 "fine\n"; }
    location /dropped { return 444; }
    location /odd/ {
      proxy_pass http://127.0.0.1:8082;
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 120s;
    }
  }
}
`, s.nginx.dir, s.address()), 0o644))
	s.nginx.argv = []string{"/usr/sbin/nginx", "-p", s.nginx.dir, "-c", conf, "-e", filepath.Join(s.nginx.dir, "error.log")}
	s.nginx.ready = func() error {
		conn, err := host.dial(f.t.Context(), "tcp", s.address())
		if err != nil {
			return err
		}
		return conn.Close()
	}
	s.nginx.start()
	return s
}
