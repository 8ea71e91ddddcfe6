// Package e2e holds what is tested over the whole of Sidelight.
package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const house = "github.com/sidelight/sidelight/"

// layer says what a module's product code may never link, and why.
type layer struct {
	module string
	never  map[string]string
}

// database, kernel, cluster and browser are the four worlds that must stay in their rooms.
const (
	pgx     = "github.com/jackc/pgx/v5"
	ebpf    = "github.com/cilium/ebpf"
	kube    = "k8s.io/client-go"
	connect = "connectrpc.com/connect"
)

func layers() []layer {
	services := []string{"agent", "aggregator", "processor", "apidiscovery", "cloudsync", "console"}
	list := []layer{
		{"proto", map[string]string{pgx: "contracts are a leaf", ebpf: "contracts are a leaf", kube: "contracts are a leaf",
			connect: "Connect handlers exist for the console alone", house + "internal": "contracts are a leaf"}},
		{"internal", map[string]string{pgx: "Postgres is at home in internal/pg", ebpf: "BPF is at home in the agent",
			kube: "Kubernetes is at home in agent and aggregator", connect: "Connect is at home in the console"}},
		{"agent", map[string]string{pgx: "the agent stores nothing", connect: "the agent serves no page"}},
		{"aggregator", map[string]string{pgx: "the aggregator touches no database", ebpf: "only the agent loads BPF", connect: "it serves no page"}},
		{"processor", map[string]string{pgx: "no database is on the path of a verdict", ebpf: "only the agent loads BPF", kube: "it knows no cluster", connect: "it serves no page"}},
		{"apidiscovery", map[string]string{ebpf: "only the agent loads BPF", kube: "it knows no cluster", connect: "it serves no page"}},
		{"cloudsync", map[string]string{pgx: "the journal is its own file", ebpf: "only the agent loads BPF", kube: "it knows no cluster"}},
		{"console", map[string]string{ebpf: "only the agent loads BPF", kube: "the console reaches into no cluster"}},
	}
	for i := range list {
		for _, other := range services {
			if other != list[i].module {
				list[i].never[house+other] = "services share a message, a package of internal, or nothing"
			}
		}
	}
	return list
}

func TestLayers(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	for _, l := range layers() {
		t.Run(l.module, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("go", "list", "-deps", "./...")
			cmd.Dir = filepath.Join(root, l.module)
			cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
			output, err := cmd.Output()
			require.NoError(t, err, "go list -deps in %s", l.module)
			for dep := range strings.FieldsSeq(string(output)) {
				for forbidden, why := range l.never {
					if dep != forbidden && !strings.HasPrefix(dep, forbidden+"/") {
						continue
					}
					// The generated Connect handlers are the console's own; its module is a prefix of nothing else.
					t.Errorf("%s links %s: %s", l.module, dep, why)
				}
			}
		})
	}
}

// Every service shows one exported package: what lies below is internal, except its command and what the table names.
func TestServicesExportOnlyTheirRoot(t *testing.T) {
	t.Parallel()
	open := map[string]bool{
		"processor/cases": true, "processor/rules": true, // text that the demo and the rules' readers use
		"console/web": true, "apidiscovery/migrations": true, "console/migrations": true, // embedded files
	}
	for _, service := range []string{"agent", "aggregator", "processor", "apidiscovery", "cloudsync", "console"} {
		cmd := exec.Command("go", "list", "./...")
		cmd.Dir = filepath.Join("..", service)
		output, err := cmd.Output()
		require.NoError(t, err)
		for path := range strings.FieldsSeq(string(output)) {
			path = strings.TrimPrefix(path, house)
			ok := path == service || open[path] || strings.Contains(path, "/internal/") ||
				strings.Contains(path, "/cmd/") || strings.Contains(path, "/genconnect/")
			require.True(t, ok, "%s is exported: move it under internal, or say here why not", path)
		}
	}
}
