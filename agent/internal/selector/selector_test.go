package selector

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	nginx := Process{PID: 7, Exe: "/usr/sbin/nginx", Ports: []uint16{80, 443}, Unit: "nginx.service", Cgroup: "/system.slice/nginx.service"}
	tests := map[string]struct {
		filters []Filter
		mirror  bool
	}{
		"nothing by default":      {nil, false},
		"name":                    {[]Filter{{Executable: "nginx"}}, true},
		"name glob":               {[]Filter{{Executable: "ng*x"}}, true},
		"other name":              {[]Filter{{Executable: "apache2"}}, false},
		"path":                    {[]Filter{{Executable: "/usr/sbin/nginx"}}, true},
		"path glob":               {[]Filter{{Executable: "/usr/*/nginx"}}, true},
		"path of another":         {[]Filter{{Executable: "/opt/nginx"}}, false},
		"port":                    {[]Filter{{Port: 443}}, true},
		"other port":              {[]Filter{{Port: 8080}}, false},
		"unit":                    {[]Filter{{Unit: "nginx.service"}}, true},
		"unit without its ending": {[]Filter{{Unit: "nginx"}}, true},
		"cgroup":                  {[]Filter{{Cgroup: "/system.slice/nginx.service"}}, true},
		"cgroup glob":             {[]Filter{{Cgroup: "/system.slice/*"}}, true},
		"keys are all":            {[]Filter{{Executable: "nginx", Port: 8080}}, false},
		"items are any":           {[]Filter{{Port: 8080}, {Executable: "nginx"}}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			decision := Decide(test.filters, nginx)
			require.Equal(t, test.mirror, decision.Mirror)
			require.NotEmpty(t, decision.Why)
		})
	}
	upgraded := nginx
	upgraded.Exe += " (deleted)"
	require.True(t, Decide([]Filter{{Executable: "nginx"}}, upgraded).Mirror)
}

func TestValidate(t *testing.T) {
	t.Parallel()
	require.Error(t, Filter{}.Validate())
	require.Error(t, Filter{Service: "x"}.Validate())
	require.Error(t, Filter{Executable: "[a"}.Validate())
	require.NoError(t, Filter{Port: 80}.Validate())
}

func TestNeedsPorts(t *testing.T) {
	t.Parallel()
	shell := Process{Exe: "/bin/sh"}
	require.False(t, NeedsPorts([]Filter{{Executable: "nginx", Port: 80}}, shell))
	require.True(t, NeedsPorts([]Filter{{Port: 80}}, shell))
}
