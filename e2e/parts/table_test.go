package parts

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/cli/table"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// signIn reads the one-time secret where the console showed it, and signs in as a person would.
func (f *fleet) signIn() *table.Console {
	f.t.Helper()
	text, err := os.ReadFile(f.console.logFile())
	require.NoError(f.t, err)
	m := regexp.MustCompile(`one-time secret\s+(\S+)`).FindSubmatch(text)
	require.NotNil(f.t, m, "the console showed no secret: %s", f.console.tail())
	trusting := f.authority.trusting("")
	trusting.NextProtos = nil
	c, err := table.SignIn(f.t.Context(), trusting, f.network.hub.dial, fmt.Sprintf("https://%s:8443", f.console.host.address), string(m[1]))
	require.NoError(f.t, err)
	return c
}

// The demo's table, over six kinds of processes, each of which is restarted once while it is played.
func TestTable(t *testing.T) {
	f := newFleet(t, options{})
	console := f.signIn()
	list, err := table.Plan(7)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w := table.NewWatcher()
	for _, p := range f.aggregators {
		conn := f.dial(p, 7412, "aggregator")
		open := make(chan struct{})
		go func() {
			opened := func() { close(open) }
			for ctx.Err() == nil {
				_ = w.Run(ctx, conn, opened)
				opened = func() {}
				select {
				case <-ctx.Done():
				case <-time.After(50 * time.Millisecond):
				}
			}
		}()
		<-open
	}
	// Each part in turn, while the list goes on.
	restarts := []*process{f.aggregators[0], f.processor[0], f.cloudsync, f.apidiscovery, f.console, f.aggregators[1], f.processor[1]}
	sender := &table.Sender{Address: f.site.address(), Dial: f.network.hub.dial}
	defer sender.Close()
	for i, r := range list {
		if i%25 == 24 && i/25 < len(restarts) {
			p := restarts[i/25]
			if strings.HasPrefix(p.name, "aggregator") {
				// What is in the tail of an aggregator that stops is not shown again: let it be shown first.
				w.Await(ctx, list[:i], 3*time.Second)
			}
			p.restart()
		}
		_, err := sender.Send(ctx, r)
		require.NoError(t, err, r.Name)
	}
	w.Await(ctx, list, 10*time.Second)
	var rows []table.Row
	var endpoints []table.EndpointRow
	deadline := time.Now().Add(20 * time.Second)
	for {
		inConsole, err := console.AttackNonces(ctx)
		require.NoError(t, err)
		found, err := console.ListEndpoints(ctx)
		require.NoError(t, err)
		found = shopOnly(found)
		rows, endpoints = table.Judge(list, w, inConsole), table.JudgeEndpoints(found)
		if table.Good(rows) && table.Equal(endpoints) || time.Now().After(deadline) {
			break
		}
		<-time.After(250 * time.Millisecond)
	}
	if !table.Good(rows) || !table.Equal(endpoints) {
		var text strings.Builder
		table.Print(&text, rows)
		table.PrintEndpoints(&text, endpoints)
		t.Fatal(text.String())
	}
}

// shopOnly leaves out what the rig itself asked nginx for.
func shopOnly(list []*inventoryv1.Endpoint) []*inventoryv1.Endpoint {
	return slices.DeleteFunc(list, func(e *inventoryv1.Endpoint) bool { return strings.HasPrefix(e.GetPathTemplate(), "/fixed") })
}
