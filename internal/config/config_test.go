package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type inner struct {
	Port uint16 `yaml:"port"`
	On   bool   `yaml:"on"`
}

type sample struct {
	Name  string   `yaml:"name"`
	Wait  Duration `yaml:"wait"`
	Size  ByteSize `yaml:"size"`
	CIDRs CIDRs    `yaml:"cidrs"`
	Key   Secret   `yaml:"key"`
	Inner inner    `yaml:"inner"`
	List  []inner  `yaml:"list"`
}

func TestDecode(t *testing.T) {
	t.Setenv("SIDELIGHT_TEST_PORT", "81")
	var s sample
	err := Decode("f", []byte("name: x\nwait: 1m30s\nsize: 2MiB\ncidrs: [10.0.0.0/8, 192.0.2.1, '2001:db8::/32']\nkey: pst\ninner: {port: '${SIDELIGHT_TEST_PORT}'}\nlist:\n  - port: ${SIDELIGHT_TEST_PORT}\n    on: true\n"), &s)
	require.ErrorContains(t, err, "f:6: got str")
	err = Decode("f", []byte("name: x\nwait: 1m30s\nsize: 2MiB\ncidrs: [10.0.0.0/8, 192.0.2.1, '2001:db8::/32']\nkey: pst\nlist:\n  - port: ${SIDELIGHT_TEST_PORT}\n    on: true\n"), &s)
	require.NoError(t, err)
	require.Equal(t, 90*time.Second, s.Wait.Duration())
	require.Equal(t, ByteSize(2<<20), s.Size)
	require.Equal(t, "pst", s.Key.Reveal())
	require.Equal(t, []inner{{81, true}}, s.List)
	require.True(t, s.CIDRs.Contains(netip.MustParseAddr("10.1.2.3")))
	require.True(t, s.CIDRs.Contains(netip.MustParseAddr("::ffff:192.0.2.1")))
	require.False(t, s.CIDRs.Contains(netip.MustParseAddr("192.0.2.2")))
}

func TestErrorsSayWhereAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"unknown key":        {"name: x\nnmae: y\n", `f:2: unknown key "nmae": allowed here: cidrs, inner, key, list, name, size, wait`},
		"unknown key inside": {"inner:\n  prot: 1\n", `f:2: unknown key "prot": allowed here: on, port`},
		"in a list":          {"list:\n  - port: 1\n  - prot: 1\n", `f:3: unknown key "prot": allowed here: on, port`},
		"wrong type":         {"inner:\n  port: many\n", "f:2: got str `many` want a number"},
		"wrong boolean":      {"inner:\n  on: 3\n", "f:2: got int `3` want true or false"},
		"list for a text":    {"name: [a]\n", "f:1: got seq want a text"},
		"bad duration":       {"name: x\nwait: 5\n", `f:2: "5" is no duration`},
		"bad size":           {"size: 5MB\n", `f:1: "5MB" is no size`},
		"bad range":          {"cidrs:\n  - 10.0.0.0/8\n  - 10.0.0.0/33\n", `f:3: "10.0.0.0/33" is no address range`},
		"range with bits":    {"cidrs:\n  - 10.0.0.1/8\n", "f:2: 10.0.0.1/8 has bits set beyond its length: did you mean 10.0.0.0/8?"},
		"no variable":        {"name: ${SIDELIGHT_TEST_UNSET}\n", "f:1: environment variable SIDELIGHT_TEST_UNSET is not set"},
		"two documents":      {"name: x\n---\nname: y\n", "holds more than one YAML document"},
		"no YAML":            {"name: [\n", "f:1:"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s sample
			err := Decode("f", []byte(test.text), &s)
			var located *Error
			require.ErrorAs(t, err, &located)
			require.ErrorContains(t, err, test.want)
		})
	}
	var s sample
	err := Decode("f", []byte("a: 1\nb: 2\n"), &s)
	require.Len(t, strings.Split(err.Error(), "\n"), 2, "all problems at once")
	require.NoError(t, Decode("f", nil, &s), "an empty file changes nothing")
	require.ErrorContains(t, Load(filepath.Join(t.TempDir(), "none"), &s), "cannot be read")
}

func TestSecretsHide(t *testing.T) {
	t.Parallel()
	s := sample{Key: "canary"}
	text, err := yaml.Marshal(s)
	require.NoError(t, err)
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "key", s.Key, "all", s)
	for _, sink := range []string{string(text), logged.String(), fmt.Sprint(s), fmt.Sprintf("%#v %+v %s", s, s, s.Key)} {
		require.NotContains(t, sink, "canary")
	}
}

func TestDefaultsCanBeReadBack(t *testing.T) {
	t.Parallel()
	in := sample{Name: "n", Wait: Duration(time.Second), Size: 1536, CIDRs: CIDRs{netip.MustParsePrefix("10.0.0.0/8")}}
	text, err := yaml.Marshal(in)
	require.NoError(t, err)
	var out sample
	require.NoError(t, Decode("f", text, &out))
	require.Equal(t, in.Size, out.Size)
	require.Equal(t, in.Wait, out.Wait)
	require.Equal(t, in.CIDRs, out.CIDRs)
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"name: x\n", "inner: {port: 1}\n", "list: [{on: true}]\n", "size: 1KiB\n", "&a [*a]", "cidrs: [::/0]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(string(data), "${") {
			t.Skip("reads the environment")
		}
		var s sample
		_ = Decode("f", data, &s)
	})
}
