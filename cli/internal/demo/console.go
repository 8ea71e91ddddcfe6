package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/cookiejar"

	"connectrpc.com/connect"

	"github.com/sidelight/sidelight/cli/internal/operator"
	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"

	"github.com/sidelight/sidelight/standalone"
)

// console reads what a person would see, over the same API as the console's pages.
type console struct {
	attacks   consolev1connect.AttackServiceClient
	endpoints consolev1connect.EndpointServiceClient
	// Password that replaced the one-time secret.
	password string
}

// signIn logs in with the one-time secret and changes it, as a person must.
func signIn(ctx context.Context, c standalone.Credentials, url, secret string) (*console, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	client, err := operator.HTTPClient(c, jar)
	if err != nil {
		return nil, err
	}
	client.Transport = sameOrigin{url, client.Transport}
	api := url + "/api"
	session := consolev1connect.NewSessionServiceClient(client, api)
	if _, err := session.Login(ctx, connect.NewRequest(&consolev1.LoginRequest{User: "admin", Password: secret})); err != nil {
		return nil, fmt.Errorf("signing in to the console: %w", err)
	}
	password := make([]byte, 9)
	if _, err := rand.Read(password); err != nil {
		return nil, fmt.Errorf("drawing a password: %w", err)
	}
	signedIn := &console{
		attacks: consolev1connect.NewAttackServiceClient(client, api), endpoints: consolev1connect.NewEndpointServiceClient(client, api),
		password: "demo-" + hex.EncodeToString(password),
	}
	if _, err := session.ChangePassword(ctx, connect.NewRequest(&consolev1.ChangePasswordRequest{NewPassword: signedIn.password})); err != nil {
		return nil, fmt.Errorf("changing the one-time secret: %w", err)
	}
	return signedIn, nil
}

// sameOrigin says what a browser says of a page's own requests.
type sameOrigin struct {
	url  string
	next http.RoundTripper
}

func (s sameOrigin) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Origin", s.url)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return s.next.RoundTrip(r)
}

// attackNonces gives, by nonce, the attack types that the console shows for it.
func (c *console) attackNonces(ctx context.Context) (map[string][]string, error) {
	types := map[string][]string{}
	for token := ""; ; {
		page, err := c.attacks.ListAttacks(ctx, connect.NewRequest(&consolev1.ListAttacksRequest{PageSize: 500, PageToken: token}))
		if err != nil {
			return nil, fmt.Errorf("listing attacks in the console: %w", err)
		}
		for _, attack := range page.Msg.GetAttacks() {
			if err := c.samples(ctx, attack, types); err != nil {
				return nil, err
			}
		}
		if token = page.Msg.GetNextPageToken(); token == "" {
			return types, nil
		}
	}
}

func (c *console) samples(ctx context.Context, attack *detectionv1.Attack, types map[string][]string) error {
	detail, err := c.attacks.GetAttack(ctx, connect.NewRequest(&consolev1.GetAttackRequest{Cluster: attack.GetCluster(), Id: attack.GetId()}))
	if err != nil {
		return fmt.Errorf("reading attack %s in the console: %w", attack.GetId(), err)
	}
	for _, sample := range detail.Msg.GetAttack().GetSamples() {
		nonce := sample.GetRequest().GetTraceId()
		types[nonce] = append(types[nonce], sample.GetType())
	}
	return nil
}

func (c *console) listEndpoints(ctx context.Context) ([]*inventoryv1.Endpoint, error) {
	var list []*inventoryv1.Endpoint
	for token := ""; ; {
		page, err := c.endpoints.ListEndpoints(ctx, connect.NewRequest(&consolev1.ListEndpointsRequest{PageSize: 500, PageToken: token}))
		if err != nil {
			return nil, fmt.Errorf("listing endpoints in the console: %w", err)
		}
		list = append(list, page.Msg.GetEndpoints()...)
		if token = page.Msg.GetNextPageToken(); token == "" {
			return list, nil
		}
	}
}
