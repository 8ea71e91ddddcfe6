package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

func FuzzToken(f *testing.F) {
	f.Add("")
	f.Add("bnVsbA")
	f.Add(token(&inventoryv1.Endpoint{Cluster: "c", Host: "h", Id: "x"}))
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := parseToken(text); err == nil {
			require.NotContains(t, c.Cluster+c.Service+c.Host+c.Path+c.Method+c.ID, "\x00", "the database takes it")
		}
		e := &inventoryv1.Endpoint{Cluster: "c", Service: "s", Host: "h", PathTemplate: "/a/{aId}", Method: "GET", Id: "x"}
		c, err := parseToken(token(e))
		require.NoError(t, err)
		require.Equal(t, cursor(e), c)
	})
}
