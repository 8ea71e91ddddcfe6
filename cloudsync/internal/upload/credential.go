package upload

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

// credential is who this installation is to the console. The key never leaves its file.
type credential struct {
	dir string
	key ed25519.PrivateKey
	known
	token   string
	expires time.Time
}

// known is what the console said at registration.
type known struct {
	Installation string `json:"installation"`
	Organisation string `json:"organisation"`
	// PolicyKey signs policy bundles; pinned.
	PolicyKey []byte `json:"policy_key"`
}

// loadCredential reads the key and the registration, and makes the key the first time.
func loadCredential(dir string) (*credential, error) {
	c := &credential{dir: dir}
	seed, err := os.ReadFile(c.path("installation.key"))
	switch {
	case err == nil && len(seed) == ed25519.SeedSize:
		c.key = ed25519.NewKeyFromSeed(seed)
	case err == nil:
		return nil, fmt.Errorf("%s is damaged: remove it, and register with a new token", c.path("installation.key"))
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("reading the installation's key: %w", err)
	default:
		if _, c.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return nil, fmt.Errorf("making the installation's key: %w", err)
		}
		if err := os.WriteFile(c.path("installation.key"), c.key.Seed(), 0o600); err != nil {
			return nil, fmt.Errorf("keeping the installation's key: %w", err)
		}
	}
	text, err := os.ReadFile(c.path("installation.json"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading the registration: %w", err)
	}
	if err == nil {
		if err := json.Unmarshal(text, &c.known); err != nil {
			return nil, fmt.Errorf("%s is damaged: remove it, and register again: %w", c.path("installation.json"), err)
		}
	}
	return c, nil
}

func (c *credential) path(name string) string { return filepath.Join(c.dir, name) }

// refreshEarly keeps a token from ending on the way.
const refreshEarly = time.Minute

// access gives a token that holds for a while yet, registering or refreshing as needed.
func (c *credential) access(ctx context.Context, client consolev1.UplinkServiceClient, cfg Config, now time.Time) (string, error) {
	if c.token != "" && now.Add(refreshEarly).Before(c.expires) {
		return c.token, nil
	}
	if c.Installation != "" {
		err := c.refresh(ctx, client, now)
		if err == nil || status.Code(err) != codes.Unauthenticated {
			return c.token, err
		}
		// The console does not know this installation any more: a token may make it known again.
	}
	if err := c.register(ctx, client, cfg); err != nil {
		return "", err
	}
	return c.token, nil
}

func (c *credential) refresh(ctx context.Context, client consolev1.UplinkServiceClient, now time.Time) error {
	at := now.UTC().Truncate(time.Second)
	message := "sidelight-refresh\n" + c.Installation + "\n" + at.Format(time.RFC3339)
	answer, err := client.RefreshToken(ctx, &consolev1.RefreshTokenRequest{
		Installation: c.Installation, At: timestamppb.New(at), Signature: ed25519.Sign(c.key, []byte(message)),
	})
	if err != nil {
		c.token = ""
		return fmt.Errorf("refreshing the access token: %w", err)
	}
	c.token, c.expires = answer.GetAccessToken(), answer.GetExpiresAt().AsTime()
	return nil
}

func (c *credential) register(ctx context.Context, client consolev1.UplinkServiceClient, cfg Config) error {
	public, ok := c.key.Public().(ed25519.PublicKey)
	if !ok || cfg.Token.Reveal() == "" {
		return errors.New("this installation is not registered: set console.token to a token from the console's Nodes page")
	}
	answer, err := client.Register(ctx, &consolev1.RegisterRequest{Token: cfg.Token.Reveal(), Cluster: cfg.Cluster, Version: cfg.Version, PublicKey: public})
	if err != nil {
		return fmt.Errorf("registering with the console: %w", err)
	}
	c.known = known{answer.GetInstallation(), answer.GetOrganisation(), answer.GetPolicyKey()}
	c.token, c.expires = answer.GetAccessToken(), answer.GetExpiresAt().AsTime()
	text, err := json.Marshal(c.known)
	if err != nil {
		return fmt.Errorf("keeping the registration: %w", err)
	}
	if err := os.WriteFile(c.path("installation.json"), text, 0o600); err != nil {
		return fmt.Errorf("keeping the registration: %w", err)
	}
	return nil
}
