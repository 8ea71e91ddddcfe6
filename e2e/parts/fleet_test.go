package parts

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sidelight/sidelight/internal/testkit"
)

// fleet is all parts of one cluster and its console.
type fleet struct {
	t         testing.TB
	dir       string
	network   *network
	authority *authority
	processes []*process
	// services and leaves say what the process of that name is, and what its certificate says.
	services map[string]string
	leaves   map[string]leaf

	postgres               *postgres
	console, signer        *process
	cloudsync              *process
	apidiscovery           *process
	aggregators, processor []*process
	agent                  *process
	site                   *site
}

const (
	token   = "a-bootstrap-token-of-this-test-only"
	hashKey = "one-key-for-all-replicas-of-this-test"
	cluster = "east"
	node    = "node-1"
	// firstUser is beyond what a machine gives out by itself.
	firstUser = 64100
)

// options change what a fleet is.
type options struct {
	// Config is appended to the configuration of a service, by its name.
	config map[string]string
	// Authority lasts a day unless set.
	authority time.Duration
	// Age of connections; 30 s unless set.
	age string
	// Log is how the parts log; quietly unless set.
	log string
	// Proxy ends TLS between cloudsync and the console.
	proxy bool
}

func newFleet(t testing.TB, o options) *fleet {
	t.Helper()
	testkit.RequireRoot(t)
	if _, err := os.Stat("/usr/sbin/nginx"); err != nil {
		testkit.Skip(t, "no nginx: apt-get install nginx-light")
	}
	dir := t.TempDir()
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		require.NoError(t, os.Chmod(d, 0o755))
	}
	if o.authority == 0 {
		o.authority = 24 * time.Hour
	}
	if o.age == "" {
		o.age = "30s"
	}
	f := &fleet{t: t, dir: dir, network: newNetwork(t), authority: newAuthority(t, o.authority), services: map[string]string{}, leaves: map[string]leaf{}}
	t.Cleanup(f.end)
	f.postgres = f.newPostgres()
	f.startConsole(o)
	f.startServices(o)
	f.startAgent(o)
	return f
}

// process makes a user, a directory and a host for a program.
func (f *fleet) process(name string) *process {
	f.t.Helper()
	return f.processOn(name, f.network.host(name))
}

func (f *fleet) processOn(name string, host *namespace) *process {
	f.t.Helper()
	p := &process{t: f.t, name: name, host: host, uid: firstUser + len(f.processes), dir: filepath.Join(f.dir, name)}
	require.NoError(f.t, os.MkdirAll(p.dir, 0o700))
	require.NoError(f.t, os.Chown(p.dir, p.uid, p.uid))
	f.processes = append(f.processes, p)
	return p
}

// part is a process of a service of ours, with a certificate and a configuration; replacements come as pairs.
func (f *fleet) part(service, name string, o options, text string, l leaf) *process {
	f.t.Helper()
	p := f.process(name)
	f.configure(p, service, o, text, l)
	return p
}

func (f *fleet) configure(p *process, service string, o options, text string, l leaf) {
	f.t.Helper()
	l.service, l.ip = service, p.host.address
	f.services[p.name] = service
	certs := f.certs(p)
	require.NoError(f.t, os.MkdirAll(certs, 0o700))
	require.NoError(f.t, os.Chown(certs, p.uid, p.uid))
	f.leaves[p.name] = l
	f.authority.write(certs, l, p.uid)
	if o.log == "" {
		o.log = "log: {level: info, format: text}\n"
	}
	common := o.log + "ops: {listen: \"127.0.0.1:9100\"}\n"
	if service != "console" {
		common += fmt.Sprintf("tls: {cert: %[1]s/tls.crt, key: %[1]s/tls.key, ca: %[1]s/ca.crt, poll: 1s}\n", certs)
	}
	config := filepath.Join(p.dir, "config.yaml")
	text = strings.NewReplacer("{dir}", p.dir, "{certs}", certs, "{address}", p.host.address, "{name}", p.name, "{age}", o.age).Replace(common + text + o.config[service])
	require.NoError(f.t, os.WriteFile(config, []byte(text), 0o600))
	require.NoError(f.t, os.Chown(config, p.uid, p.uid))
	p.argv = []string{filepath.Join(binaries, service), "--config", config}
	p.ready = func() error { return f.ops(p, "/readyz", nil) }
}

func (f *fleet) certs(p *process) string { return filepath.Join(p.dir, "certs") }

// ops asks the operators' port of a part, which is on its own loopback.
func (f *fleet) ops(p *process, path string, body func(*http.Response) error) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return p.host.dial(ctx, network, address)
		},
	}}
	response, err := client.Get("http://127.0.0.1:9100" + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if body != nil {
		return body(response)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, response.Status)
	}
	return nil
}

func (f *fleet) startConsole(o options) {
	f.t.Helper()
	host := f.network.host("console")
	f.console = f.processOn("console", host)
	// The signer has the key and a user of its own; the socket is all that the console has of it.
	f.signer = f.processOn("signer", host)
	f.signer.argv = []string{filepath.Join(binaries, "signer"), "--config", filepath.Join(f.signer.dir, "config.yaml")}
	require.NoError(f.t, os.Chmod(f.signer.dir, 0o755))
	config := fmt.Sprintf("log: {level: info, format: text}\nsocket: %[1]s/signer.sock\ndata_dir: %[1]s\nallow_uid: %[2]d\n", f.signer.dir, f.console.uid)
	require.NoError(f.t, os.WriteFile(filepath.Join(f.signer.dir, "config.yaml"), []byte(config), 0o644))
	socket := filepath.Join(f.signer.dir, "signer.sock")
	f.signer.ready = func() error { _, err := os.Stat(socket); return err }
	f.signer.start()
	f.configure(f.console, "console", o, fmt.Sprintf(`
ui: {listen: "{address}:8443", cert: {certs}/tls.crt, key: {certs}/tls.key, allowed_hosts: ["{address}"]}
uplink: {listen: "{address}:8444", cert: {certs}/tls.crt, key: {certs}/tls.key}
database: {dsn: %q}
bootstrap_token: %s
signer: {socket: %s}
`, f.postgres.dsn(), token, socket), leaf{})
	f.console.start()
}

func (f *fleet) startServices(o options) {
	f.t.Helper()
	uplink := f.console.host.address
	if o.proxy {
		uplink = f.startProxy()
	}
	f.cloudsync = f.part("cloudsync", "cloudsync", o, fmt.Sprintf(`
rpc: {listen: "{address}:7415", max_connection_age: {age}}
cluster: %s
instance: "{name}"
data_dir: {dir}
console: {address: "%s:8444", ca: {certs}/ca.crt, server_name: console, token: %s}
`, cluster, uplink, token), leaf{})
	f.apidiscovery = f.part("apidiscovery", "apidiscovery", o, fmt.Sprintf(`
rpc: {listen: "{address}:7414", max_connection_age: {age}}
cluster: %s
instance: "{name}"
database: {dsn: %q}
cloudsync: {address: "%s:7415"}
push_counters_every: 1s
`, cluster, f.postgres.dsn(), f.cloudsync.host.address), leaf{})
	// Each knows the addresses of both: they are made before either is configured.
	hosts := []*process{f.process("processor-1"), f.process("processor-2")}
	peers := hosts[0].host.address + ":7413," + hosts[1].host.address + ":7413"
	for _, p := range hosts {
		f.configure(p, "processor", o, fmt.Sprintf(`
rpc: {listen: "{address}:7413", max_connection_age: {age}}
cluster: %s
instance: "{name}"
inspect: {hash_key: %s}
cloudsync: {address: "%s:7415"}
apidiscovery: {address: "%s:7414"}
behaviour: {peers: {address: "%s"}}
`, cluster, hashKey, f.cloudsync.host.address, f.apidiscovery.host.address, peers), leaf{})
		f.processor = append(f.processor, p)
	}
	for _, name := range []string{"aggregator-1", "aggregator-2"} {
		f.aggregators = append(f.aggregators, f.part("aggregator", name, o, fmt.Sprintf(`
rpc: {listen: "{address}:7412", max_connection_age: {age}}
cluster: %s
instance: "{name}"
processor: {address: "%s"}
cloudsync: {address: "%s:7415"}
`, cluster, peers, f.cloudsync.host.address), leaf{}))
	}
	for _, p := range append([]*process{f.cloudsync, f.apidiscovery}, append(f.processor, f.aggregators...)...) {
		p.launch()
	}
	for _, p := range append([]*process{f.cloudsync, f.apidiscovery}, append(f.processor, f.aggregators...)...) {
		p.await()
	}
}

// startProxy puts an nginx before the uplink that ends TLS, as ingresses do.
func (f *fleet) startProxy() string {
	f.t.Helper()
	p := f.process("proxy")
	f.authority.write(p.dir, leaf{service: "console"}, p.uid)
	conf := filepath.Join(p.dir, "nginx.conf")
	require.NoError(f.t, os.WriteFile(conf, fmt.Appendf(nil, `daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log warn;
events { worker_connections 128; }
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  client_max_body_size 32m;
  server {
    listen %[2]s:8444 ssl http2;
    ssl_certificate %[1]s/tls.crt;
    ssl_certificate_key %[1]s/tls.key;
    grpc_read_timeout 1h;
    location / { grpc_ssl_protocols TLSv1.3; grpc_pass grpcs://%[3]s:8444; }
  }
}
`, p.dir, p.host.address, f.console.host.address), 0o644))
	p.argv = []string{"/usr/sbin/nginx", "-p", p.dir, "-c", conf, "-e", filepath.Join(p.dir, "error.log")}
	p.ready = func() error {
		conn, err := f.network.hub.dial(f.t.Context(), "tcp", p.host.address+":8444")
		if err != nil {
			return err
		}
		return conn.Close()
	}
	p.start()
	return p.host.address
}

// change sets another value behind a key of a part's configuration.
func (f *fleet) change(p *process, key, value string) {
	f.t.Helper()
	path := filepath.Join(p.dir, "config.yaml")
	text, err := os.ReadFile(path)
	require.NoError(f.t, err)
	changed := regexp.MustCompile(regexp.QuoteMeta(key)+`[^\s,}]+`).ReplaceAll(text, []byte(key+value))
	require.NotEqual(f.t, string(text), string(changed))
	require.NoError(f.t, os.WriteFile(path, changed, 0o600))
}

// startAgent starts nginx before the shop, and the agent that mirrors this nginx alone.
func (f *fleet) startAgent(o options) {
	f.t.Helper()
	f.site = f.newSite()
	f.agent = f.part("agent", "agent", o, fmt.Sprintf(`
cluster: %s
node: %s
aggregator: {address: "%s:7412,%s:7412"}
mirror:
  filters:
    - {executable: nginx, port: %d}
`, cluster, node, f.aggregators[0].host.address, f.aggregators[1].host.address, f.site.port), leaf{names: []string{node + ".agent"}})
	f.agent.caps = []uintptr{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH}
	f.agent.start()
	f.awaitMirrored()
}

// end stops everything, the last first.
func (f *fleet) end() {
	for _, p := range slices.Backward(f.processes) {
		signal := syscall.SIGTERM
		if strings.HasPrefix(p.name, "postgres") {
			signal = syscall.SIGQUIT
		}
		p.signalIfRunning(syscall.SIGCONT)
		p.end(signal)
	}
	if f.t.Failed() {
		for _, p := range f.processes {
			f.t.Log(p.tail())
		}
	}
}
