package upload

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
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

const (
	keyFile   = "installation.key"
	knownFile = "installation.json"
	// refreshEarly keeps a token from ending on its way.
	refreshEarly = time.Minute
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
	// Token is the hash of the token that was used, and Cluster the name: others in the configuration mean to register anew.
	Token   string `json:"token_sha256"`
	Cluster string `json:"cluster"`
}

// loadCredential reads the key and the registration, and makes the key the first time: before it is registered, so that
// an answer that got lost costs nothing.
func loadCredential(dir string) (*credential, error) {
	c := &credential{dir: dir}
	seed, err := os.ReadFile(filepath.Join(dir, keyFile))
	switch {
	case err == nil && len(seed) == ed25519.SeedSize:
		c.key = ed25519.NewKeyFromSeed(seed)
	case err == nil:
		return nil, fmt.Errorf("%s is damaged: remove it, and register with a new token", filepath.Join(dir, keyFile))
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("reading the installation's key: %w", err)
	default:
		if _, c.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return nil, fmt.Errorf("making the installation's key: %w", err)
		}
		if err := replace(dir, keyFile, c.key.Seed()); err != nil {
			return nil, fmt.Errorf("keeping the installation's key: %w", err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, knownFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading the registration: %w", err)
	}
	if err == nil {
		if err := json.Unmarshal(text, &c.known); err != nil {
			return nil, fmt.Errorf("%s is damaged: remove it, and register again: %w", filepath.Join(dir, knownFile), err)
		}
	}
	return c, nil
}

// access gives a token that holds for a while yet, registering or refreshing as needed.
func (c *credential) access(ctx context.Context, client uplink, cfg Config, now time.Time) (string, error) {
	if c.token != "" && now.Add(refreshEarly).Before(c.expires) {
		return c.token, nil
	}
	another := cfg.Token != "" && (c.Token != hashOf(cfg.Token.Reveal()) || c.Cluster != cfg.Cluster)
	if c.Installation != "" && !another {
		err := c.refresh(ctx, client, now)
		if status.Code(err) != codes.Unauthenticated || cfg.Token == "" {
			return c.token, err
		}
		// The console does not know this installation, or doubts its clock: a token may make it known again.
	}
	if err := c.register(ctx, client, cfg); err != nil {
		if c.Installation == "" {
			return "", err
		}
		// The new token may be no good; the old registration may be.
		if refreshErr := c.refresh(ctx, client, now); refreshErr != nil {
			return "", errors.Join(refreshErr, err)
		}
	}
	return c.token, nil
}

func (c *credential) refresh(ctx context.Context, client uplink, now time.Time) error {
	at := now.UTC().Truncate(time.Second)
	message := "sidelight-refresh\n" + c.Installation + "\n" + at.Format(time.RFC3339)
	answer, err := client.RefreshToken(ctx, &consolev1.RefreshTokenRequest{
		Installation: c.Installation, At: timestamppb.New(at), Signature: ed25519.Sign(c.key, []byte(message)),
	})
	if err != nil {
		c.token = ""
		return fmt.Errorf("refreshing the access token (are the clocks of both sides right?): %w", err)
	}
	c.token, c.expires = answer.GetAccessToken(), answer.GetExpiresAt().AsTime()
	return nil
}

func (c *credential) register(ctx context.Context, client uplink, cfg Config) error {
	c.token = ""
	public, ok := c.key.Public().(ed25519.PublicKey)
	if !ok || cfg.Token == "" {
		return errors.New("this installation is not registered: set console.token to a token from the console's Nodes page")
	}
	answer, err := client.Register(ctx, &consolev1.RegisterRequest{Token: cfg.Token.Reveal(), Cluster: cfg.Cluster, Version: cfg.Version, PublicKey: public})
	if err != nil {
		return fmt.Errorf("registering with the console: %w", err)
	}
	fresh := known{answer.GetInstallation(), answer.GetOrganisation(), answer.GetPolicyKey(), hashOf(cfg.Token.Reveal()), cfg.Cluster}
	text, err := json.Marshal(fresh)
	if err == nil {
		err = replace(c.dir, knownFile, text)
	}
	if err != nil {
		return fmt.Errorf("keeping the registration: %w", err)
	}
	c.known, c.token, c.expires = fresh, answer.GetAccessToken(), answer.GetExpiresAt().AsTime()
	return nil
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// replace writes a private file whole or not at all, and on the disk.
func replace(dir, name string, content []byte) error {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
