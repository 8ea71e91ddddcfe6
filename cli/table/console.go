package table

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"

	"connectrpc.com/connect"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// Console reads what a person would see, over the same API as the console's pages.
type Console struct {
	Attacks   consolev1connect.AttackServiceClient
	Endpoints consolev1connect.EndpointServiceClient
	// Client and API let a caller use the console's other services in the same session.
	Client *http.Client
	API    string
	// Password that replaced the one-time secret.
	Password string
}

// SignIn logs in with the one-time secret and changes it, as a person must.
func SignIn(ctx context.Context, trusting *tls.Config, dial func(ctx context.Context, network, address string) (net.Conn, error), url, secret string) (*Console, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	client := &http.Client{Jar: jar, Transport: sameOrigin{url, &http.Transport{TLSClientConfig: trusting, DialContext: dial, ForceAttemptHTTP2: true}}}
	api := url + "/api"
	session := consolev1connect.NewSessionServiceClient(client, api)
	if _, err := session.Login(ctx, connect.NewRequest(&consolev1.LoginRequest{User: "admin", Password: secret})); err != nil {
		return nil, fmt.Errorf("signing in to the console: %w", err)
	}
	password := make([]byte, 9)
	if _, err := rand.Read(password); err != nil {
		return nil, fmt.Errorf("drawing a password: %w", err)
	}
	signedIn := &Console{
		Client: client, API: api,
		Attacks: consolev1connect.NewAttackServiceClient(client, api), Endpoints: consolev1connect.NewEndpointServiceClient(client, api),
		Password: "demo-" + hex.EncodeToString(password),
	}
	if _, err := session.ChangePassword(ctx, connect.NewRequest(&consolev1.ChangePasswordRequest{NewPassword: signedIn.Password})); err != nil {
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

// AttackNonces gives, by nonce, the attack types that the console shows for it.
func (c *Console) AttackNonces(ctx context.Context) (map[string][]string, error) {
	types := map[string][]string{}
	for token := ""; ; {
		page, err := c.Attacks.ListAttacks(ctx, connect.NewRequest(&consolev1.ListAttacksRequest{PageSize: 500, PageToken: token}))
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

func (c *Console) samples(ctx context.Context, attack *detectionv1.Attack, types map[string][]string) error {
	detail, err := c.Attacks.GetAttack(ctx, connect.NewRequest(&consolev1.GetAttackRequest{Cluster: attack.GetCluster(), Id: attack.GetId()}))
	if err != nil {
		return fmt.Errorf("reading attack %s in the console: %w", attack.GetId(), err)
	}
	for _, sample := range detail.Msg.GetAttack().GetSamples() {
		nonce := sample.GetRequest().GetTraceId()
		types[nonce] = append(types[nonce], sample.GetType())
	}
	return nil
}

// ListEndpoints gives all endpoints that the console shows.
func (c *Console) ListEndpoints(ctx context.Context) ([]*inventoryv1.Endpoint, error) {
	var list []*inventoryv1.Endpoint
	for token := ""; ; {
		page, err := c.Endpoints.ListEndpoints(ctx, connect.NewRequest(&consolev1.ListEndpointsRequest{PageSize: 500, PageToken: token}))
		if err != nil {
			return nil, fmt.Errorf("listing endpoints in the console: %w", err)
		}
		list = append(list, page.Msg.GetEndpoints()...)
		if token = page.Msg.GetNextPageToken(); token == "" {
			return list, nil
		}
	}
}
