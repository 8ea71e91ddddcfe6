// Package installation is who this cluster is to the console: a key that never leaves its file, what registration pinned,
// and the short-lived token that every call carries.
package installation

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"

	"github.com/sidelight/sidelight/internal/config"
)

const (
	// refreshEarly keeps a token from ending on its way.
	refreshEarly = time.Minute
	callTimeout  = 30 * time.Second
	// refusedFor is how long a refusal is remembered: several lanes need the token, and a console counts wrong guesses.
	refusedFor = 10 * time.Second
)

type console interface {
	Register(ctx context.Context, in *consolev1.RegisterRequest, opts ...grpc.CallOption) (*consolev1.RegisterResponse, error)
	RefreshToken(ctx context.Context, in *consolev1.RefreshTokenRequest, opts ...grpc.CallOption) (*consolev1.RefreshTokenResponse, error)
}

// Config says who this installation wants to be.
type Config struct {
	// Dir keeps the installation's key and its registration.
	Dir     string
	Token   config.Secret
	Cluster string
	Version string
}

// Deps is what an account works with.
type Deps struct {
	Console console
	// Registered is told what a registration pinned, before the first call that follows it.
	Registered func(Pin)
}

// Account is this installation's standing with the console. All lanes share it.
type Account struct {
	cfg  Config
	deps Deps
	key  ed25519.PrivateKey

	mu      sync.Mutex
	known   known
	token   string
	expires time.Time
	// refusal is the console's last word, while it is remembered.
	refusal      error
	refusedUntil time.Time
}

// Load reads the account from its directory. It calls nobody.
func Load(cfg Config, deps Deps) (*Account, error) {
	private, err := key(cfg.Dir)
	if err != nil {
		return nil, err
	}
	k, err := readKnown(cfg.Dir)
	if err != nil {
		return nil, err
	}
	return &Account{cfg: cfg, deps: deps, key: private, known: k}, nil
}

// Refused tells whether the console said that this installation may not do what it asked for.
func Refused(err error) bool {
	code := status.Code(err)
	return code == codes.Unauthenticated || code == codes.PermissionDenied
}

// Destination names where uploads go, registering first if need be: two registrations with the same console, organisation
// and cluster are one destination, so that a new token does not mean to upload everything again.
func (a *Account) Destination(ctx context.Context) (string, error) {
	if _, err := a.access(ctx); err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	sum := sha256.New()
	for _, part := range []string{a.known.Organisation, string(a.known.PolicyKey), a.known.Cluster} {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil
}

// Call has call make one call with the token. A token that the console does not take any more, whatever it said of its end,
// is replaced once.
func (a *Account) Call(ctx context.Context, call func(context.Context) error) error {
	for try := 0; ; try++ {
		token, err := a.access(ctx)
		if err != nil {
			return err
		}
		err = call(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token))
		if !Refused(err) {
			return err
		}
		a.drop(token)
		if try > 0 {
			return err
		}
	}
}

// drop forgets a token, unless another lane has replaced it already.
func (a *Account) drop(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token == token {
		a.token = ""
	}
}

// access gives a token that holds for a while yet, registering or refreshing as needed.
func (a *Account) access(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.token != "" && now.Add(refreshEarly).Before(a.expires) {
		return a.token, nil
	}
	if now.Before(a.refusedUntil) {
		return "", a.refusal
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := a.renew(ctx, now)
	if err != nil {
		a.token = ""
		if Refused(err) {
			a.refusal, a.refusedUntil = err, now.Add(refusedFor)
		}
		return "", err
	}
	return a.token, nil
}

func (a *Account) renew(ctx context.Context, now time.Time) error {
	another := a.cfg.Token != "" && (a.known.Token != hashOf(a.cfg.Token.Reveal()) || a.known.Cluster != a.cfg.Cluster)
	var refreshErr error
	if a.known.Installation != "" && !another {
		refreshErr = a.refresh(ctx, now)
		if status.Code(refreshErr) != codes.Unauthenticated || a.cfg.Token == "" {
			return refreshErr
		}
		// The console does not know this installation, or doubts its clock: a token may make it known again.
	}
	err := a.register(ctx)
	if err == nil || a.known.Installation == "" {
		return err
	}
	if refreshErr == nil {
		// The new token may be no good; the old registration may be.
		if refreshErr = a.refresh(ctx, now); refreshErr == nil {
			return nil
		}
	}
	return errors.Join(refreshErr, err)
}

func (a *Account) refresh(ctx context.Context, now time.Time) error {
	at := now.UTC().Truncate(time.Second)
	message := "sidelight-refresh\n" + a.known.Installation + "\n" + at.Format(time.RFC3339)
	answer, err := a.deps.Console.RefreshToken(ctx, &consolev1.RefreshTokenRequest{
		Installation: a.known.Installation, At: timestamppb.New(at), Signature: ed25519.Sign(a.key, []byte(message)),
	})
	if err != nil {
		return fmt.Errorf("refreshing the access token (are the clocks of both sides right?): %w", err)
	}
	a.token, a.expires = answer.GetAccessToken(), answer.GetExpiresAt().AsTime()
	return nil
}

func (a *Account) register(ctx context.Context) error {
	public, ok := a.key.Public().(ed25519.PublicKey)
	if !ok || a.cfg.Token == "" {
		return errors.New("this installation is not registered: set console.token to a token from the console's Nodes page")
	}
	answer, err := a.deps.Console.Register(ctx, &consolev1.RegisterRequest{
		Token: a.cfg.Token.Reveal(), Cluster: a.cfg.Cluster, Version: a.cfg.Version, PublicKey: public,
	})
	if err != nil {
		return fmt.Errorf("registering with the console: %w", err)
	}
	fresh := known{answer.GetInstallation(), answer.GetOrganisation(), answer.GetPolicyKey(), hashOf(a.cfg.Token.Reveal()), a.cfg.Cluster}
	if err := keep(a.cfg.Dir, fresh); err != nil {
		return err
	}
	a.known, a.token, a.expires = fresh, answer.GetAccessToken(), answer.GetExpiresAt().AsTime()
	if a.deps.Registered != nil {
		a.deps.Registered(fresh.pin())
	}
	return nil
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
