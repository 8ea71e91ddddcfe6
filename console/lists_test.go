package console

import (
	"fmt"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// listAttacks reads all pages and gives "cluster/id" of each attack.
func listAttacks(t *testing.T, b *browser, req *consolev1.ListAttacksRequest) []string {
	t.Helper()
	var out []string
	for {
		res, err := b.attacks.ListAttacks(t.Context(), connect.NewRequest(req))
		require.NoError(t, err)
		for _, a := range res.Msg.GetAttacks() {
			require.Empty(t, a.GetSamples(), "samples are left out")
			out = append(out, a.GetCluster()+"/"+a.GetId())
		}
		if res.Msg.GetNextPageToken() == "" {
			require.Len(t, out, int(res.Msg.GetTotal()))
			return out
		}
		req.PageToken = res.Msg.GetNextPageToken()
	}
}

func TestAttacksInPages(t *testing.T) {
	t.Parallel()
	h := start(t)
	b := h.signedIn()
	var want []string
	for _, name := range []string{"east", "west"} {
		var list []*detectionv1.Attack
		for i := range 7 {
			// Several at the same time, so that a page can end between them.
			a := attack(fmt.Sprintf("a%d", i), 1, noon.Add(time.Duration(i/3)*time.Minute), "x")
			if i == 2 {
				a.Type = "xss"
			}
			list = append(list, a)
		}
		require.NoError(t, h.register(name).upload(t.Context(), &consolev1.UploadRequest{Attacks: list}))
	}
	for _, ids := range [][]int{{6}, {5, 4, 3}, {2, 1, 0}} {
		for _, name := range []string{"west", "east"} {
			for _, i := range ids {
				want = append(want, fmt.Sprintf("%s/a%d", name, i))
			}
		}
	}
	for _, size := range []uint32{0, 1, 2, 3, 7, 14, 500, 9999} {
		require.Equal(t, want, listAttacks(t, b, &consolev1.ListAttacksRequest{PageSize: size}), "page size %d", size)
	}
	require.Equal(t, []string{"west/a2", "east/a2"}, listAttacks(t, b, &consolev1.ListAttacksRequest{Types: []string{"xss", "rce"}, PageSize: 1}))
	require.Len(t, listAttacks(t, b, &consolev1.ListAttacksRequest{Cluster: "east"}), 7)
	require.Len(t, listAttacks(t, b, &consolev1.ListAttacksRequest{Cluster: "east", Since: timestamppb.New(noon.Add(time.Minute))}), 4)
	require.Empty(t, listAttacks(t, b, &consolev1.ListAttacksRequest{Cluster: "no\x00ne"}))

	for _, token := range []string{"!", "e30", "eyJ0IjotMX0"} {
		if token == "e30" {
			continue
		}
		_, err := b.attacks.ListAttacks(t.Context(), connect.NewRequest(&consolev1.ListAttacksRequest{PageToken: token}))
		requireCode(t, connect.CodeInvalidArgument, err)
	}
}

func TestEndpointsInPages(t *testing.T) {
	t.Parallel()
	h := start(t)
	b := h.signedIn()
	east, west := h.register("east"), h.register("west")
	gone, merged := endpoint("gone", "/gone", 1), endpoint("merged", "/merged", 1)
	gone.Archived, merged.Endpoint.AliasOf = true, "e1"
	other := endpoint("e3", "/c", 1)
	other.Endpoint.Host = "api.example"
	require.NoError(t, east.upload(t.Context(), &consolev1.UploadRequest{Endpoints: []*inventoryv1.EndpointDelta{
		endpoint("e2", "/b", 1), endpoint("e1", "/a", 1), gone, merged, other,
	}}))
	require.NoError(t, west.upload(t.Context(), &consolev1.UploadRequest{Endpoints: []*inventoryv1.EndpointDelta{endpoint("e1", "/a", 1)}}))
	list := func(req *consolev1.ListEndpointsRequest) (out []string) {
		for {
			res, err := b.endpoints.ListEndpoints(t.Context(), connect.NewRequest(req))
			require.NoError(t, err)
			for _, e := range res.Msg.GetEndpoints() {
				out = append(out, e.GetCluster()+"/"+e.GetId())
			}
			if res.Msg.GetNextPageToken() == "" {
				require.Len(t, out, int(res.Msg.GetTotal()))
				return out
			}
			req.PageToken = res.Msg.GetNextPageToken()
		}
	}
	want := []string{"east/e3", "east/e1", "west/e1", "east/e2"}
	for _, size := range []uint32{0, 1, 2, 3} {
		require.Equal(t, want, list(&consolev1.ListEndpointsRequest{PageSize: size}), "page size %d", size)
	}
	require.Equal(t, []string{"west/e1"}, list(&consolev1.ListEndpointsRequest{Cluster: "west"}))
	require.Equal(t, []string{"east/e3"}, list(&consolev1.ListEndpointsRequest{Host: "api.example"}))
	require.Empty(t, list(&consolev1.ListEndpointsRequest{Service: "none"}))
	res, err := b.endpoints.GetEndpoint(t.Context(), connect.NewRequest(&consolev1.GetEndpointRequest{Cluster: "east", Id: "merged"}))
	require.NoError(t, err)
	require.Equal(t, "e1", res.Msg.GetEndpoint().GetAliasOf())
}

// A late hit joined two attacks: one of them is no longer shown, and whoever asks for it gets the other.
func TestMergedAttacksAreHidden(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b, c := t.Context(), h.signedIn(), h.register("east")
	into := func(id, other string) *detectionv1.Attack {
		a := attack(id, 2, noon)
		a.HitCount, a.MergedInto = 0, other
		return a
	}
	require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{Attacks: []*detectionv1.Attack{
		attack("a", 1, noon, "x"), attack("b", 1, noon, "y"), attack("c", 1, noon, "z"),
	}}))
	require.Len(t, listAttacks(t, b, &consolev1.ListAttacksRequest{}), 3)
	require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{Attacks: []*detectionv1.Attack{into("a", "b"), into("b", "c")}}))
	require.Equal(t, []string{"east/c"}, listAttacks(t, b, &consolev1.ListAttacksRequest{}))
	for _, id := range []string{"a", "b", "c"} {
		got := getAttack(t, b, "east", id)
		require.Equal(t, "c", got.GetId())
		require.Equal(t, "z", string(got.GetSamples()[0].GetExchangeId()))
	}
	// What it went into is not there yet, or never was; and a circle ends.
	require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{Attacks: []*detectionv1.Attack{
		into("d", "later"), into("e", "f"), into("f", "e"),
	}}))
	require.Equal(t, "d", getAttack(t, b, "east", "d").GetId())
	require.NotEmpty(t, getAttack(t, b, "east", "e").GetMergedInto())
}
