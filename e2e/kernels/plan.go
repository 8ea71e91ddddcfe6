package kernels

// What runs in the machines, and what they hold. This is the one place to add to.

// testPackages are run in this order, each as one static binary with its testdata.
var testPackages = []testPackage{
	{dir: "agent/internal/probe"},
	// Without the roots of other suites: what differs there is the library, not the kernel.
	{dir: "agent", args: []string{"-test.run", "TestTLS$|TestTLSClientLegs|TestTLSLibraryLoadedLate|TestKernelTLS|TestOlderConnections|TestRestartUnderLoad|TestRealNginx|TestConfined", "-test.skip", "TestTLS/chroot"}},
}

// testPackage is a package of this repository.
type testPackage struct {
	dir string
	// args go to the test binary.
	args []string
	// files are taken along beside its testdata: paths in this repository.
	files []string
}

// commands are built from this repository, statically, into /usr/bin.
var commands = []string{}

// programs of this host that the tests start; their shared libraries come along. scripts/setup.sh kernels installs them.
var programs = []string{
	"/usr/bin/busybox",
	"/usr/bin/curl",
	"/usr/bin/openssl",
	"/usr/bin/python3",
	"/usr/sbin/haproxy",
	"/usr/sbin/nginx",
}

// trees of files that those programs read, as patterns.
var trees = []string{
	"/etc/nginx/mime.types",
	"/etc/ssl/openssl.cnf",
	"/usr/lib/python3.*",
	"/usr/lib/ssl/openssl.cnf",
	"/usr/lib/x86_64-linux-gnu/ossl-modules",
}

// leftOut are parts of the trees that no test wants.
var leftOut = []string{"config-3.", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "turtledemo", "unittest", "dist-packages"}

// modules of the kernel that are loaded before the tests: names as in the kernel's modules folder, in order, without ".ko".
// A kernel that has one built in, or none, goes on without it.
var modules = []string{"crypto/gf128mul", "lib/crypto/gf128mul", "crypto/crypto_null", "crypto/ctr", "crypto/ghash-generic", "crypto/gcm", "net/tls/tls"}

// texts are files that a root needs to be one.
var texts = map[string]string{
	"/etc/passwd":        "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/false\nhaproxy:x:101:101::/var/lib/haproxy:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n",
	"/etc/group":         "root:x:0:\nwww-data:x:33:\nhaproxy:x:101:\nnogroup:x:65534:\n",
	"/etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n",
	"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
	"/etc/os-release":    "NAME=\"Sidelight test machine\"\nID=sidelight-test\n",
}

// folders that programs expect.
var folders = []string{"/dev", "/proc", "/sys", "/tmp", "/run", "/root", "/var/log/nginx", "/var/lib/nginx", "/var/lib/haproxy", "/var/tmp", "/etc/ssl/certs"}
