// Package upload brings the journal's changes to the console, outbound only. Without a console, or with one that is away or
// has revoked this installation, the journal goes on alone.
package upload

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sidelight/sidelight/cloudsync/internal/journal"
	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logkey"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// Config says who this installation is.
type Config struct {
	// Dir keeps the installation's key.
	Dir     string
	Token   config.Secret
	Cluster string
	Version string
}

// Deps is what an uploader works with.
type Deps struct {
	Log     *slog.Logger
	Conn    grpc.ClientConnInterface
	Journal *journal.Journal
	// Statuses gives the newest report of every part.
	Statuses func() []*statusv1.PartStatus
	// Reported has a token when a part has reported.
	Reported <-chan struct{}
}

// Uploader is one installation's outbound link.
type Uploader struct {
	cfg    Config
	deps   Deps
	client consolev1.UplinkServiceClient
	state  atomic.Pointer[string]
}

// New makes an uploader that does nothing until Run.
func New(cfg Config, deps Deps) *Uploader {
	u := &Uploader{cfg: cfg, deps: deps, client: consolev1.NewUplinkServiceClient(deps.Conn)}
	u.say("connecting")
	return u
}

const (
	// debounce lets changes that come together go together.
	debounce = 50 * time.Millisecond
	// most of a kind in one upload: samples are up to some KiB each.
	most        = 100
	minBackoff  = 200 * time.Millisecond
	maxBackoff  = 15 * time.Second
	whenRevoked = time.Minute
	callTimeout = 30 * time.Second
)

// State says how the link is: "ok", or why not.
func (u *Uploader) State() string { return *u.state.Load() }

func (u *Uploader) say(state string) { u.state.Store(&state) }

// Run uploads until ctx ends.
func (u *Uploader) Run(ctx context.Context) error {
	credential, err := loadCredential(u.cfg.Dir)
	if err != nil {
		return err
	}
	backoff := minBackoff
	for {
		err := u.upload(ctx, credential)
		if ctx.Err() != nil {
			return nil
		}
		wait := debounce
		if err != nil {
			wait, backoff = backoff, min(2*backoff, maxBackoff)
			u.complain(err)
			if status.Code(err) == codes.PermissionDenied {
				wait = whenRevoked
			}
		} else {
			backoff = minBackoff
			u.say("ok")
			select {
			case <-ctx.Done():
				return nil
			case <-u.deps.Journal.Changed():
			case <-u.deps.Reported:
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

func (u *Uploader) complain(err error) {
	text := err.Error()
	if status.Code(err) == codes.PermissionDenied {
		text = "the console has cut off this installation; detection and the journal go on here: " + text
	}
	if u.State() != text {
		u.deps.Log.Warn("uploading to the console", logkey.Error, text)
	}
	u.say(text)
}

// upload sends everything that waits.
func (u *Uploader) upload(ctx context.Context, c *credential) error {
	for first := true; ; first = false {
		pending, err := u.deps.Journal.Pending(most)
		if err != nil {
			return err
		}
		if pending.Empty() && !first {
			return nil
		}
		request := &consolev1.UploadRequest{Attacks: pending.Attacks, Endpoints: pending.Endpoints}
		if first {
			request.Statuses = u.deps.Statuses()
		}
		if err := u.call(ctx, c, request); err != nil {
			return err
		}
		if pending.Empty() {
			return nil
		}
		if err := u.deps.Journal.Uploaded(pending); err != nil {
			return err
		}
	}
}

func (u *Uploader) call(ctx context.Context, c *credential, request *consolev1.UploadRequest) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	token, err := c.access(ctx, u.client, u.cfg, time.Now())
	if err != nil {
		return err
	}
	_, err = u.client.Upload(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), request)
	if status.Code(err) == codes.Unauthenticated {
		// Its generation is over: the next try refreshes.
		c.token = ""
	}
	if err != nil {
		return fmt.Errorf("uploading: %w", err)
	}
	return nil
}
