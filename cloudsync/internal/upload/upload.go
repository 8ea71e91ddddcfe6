// Package upload brings the journal's changes to the console, outbound only. Without a console, or with one that is away or
// has revoked this installation, the journal goes on alone.
package upload

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/losses"

	"github.com/sidelight/sidelight/cloudsync/internal/journal"
)

const (
	// debounce lets changes that come together go together.
	debounce = 50 * time.Millisecond
	// Bounds of one call.
	maxRecords  = 200
	maxBytes    = 1 << 20
	maxStatuses = 200
	callTimeout = 30 * time.Second
	// Pauses after failures. A revoked installation asks now and then: a person may change their mind.
	minPause     = 200 * time.Millisecond
	maxPause     = 15 * time.Second
	revokedPause = time.Minute
)

type uplink interface {
	Register(ctx context.Context, in *consolev1.RegisterRequest, opts ...grpc.CallOption) (*consolev1.RegisterResponse, error)
	RefreshToken(ctx context.Context, in *consolev1.RefreshTokenRequest, opts ...grpc.CallOption) (*consolev1.RefreshTokenResponse, error)
	Upload(ctx context.Context, in *consolev1.UploadRequest, opts ...grpc.CallOption) (*consolev1.UploadResponse, error)
}

type record interface {
	Pending(installation string, limit, maxBytes int) (journal.Batch, error)
	Uploaded(ctx context.Context, b journal.Batch) error
	Changed() <-chan struct{}
}

type statuses interface {
	Take(limit int) []*statusv1.PartStatus
	PutBack([]*statusv1.PartStatus)
	Reported() <-chan struct{}
}

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
	Console  uplink
	Journal  record
	Statuses statuses
	Log      *slog.Logger
	Losses   *losses.Losses
}

// Uploader is one installation's outbound link.
type Uploader struct {
	cfg   Config
	deps  Deps
	state atomic.Pointer[string]
	// limit shrinks while the console finds something wrong in a batch, until that one record is alone.
	limit int
	// pauses grow with failures in a row.
	pauses *backoff.ExponentialBackOff
	// Records counts attacks and endpoints that the console took; Revoked is 1 while it refuses this installation.
	Records, Revoked atomic.Int64
}

// New makes an uploader that does nothing until Run.
func New(cfg Config, deps Deps) *Uploader {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = minPause, maxPause, 2
	u := &Uploader{cfg: cfg, deps: deps, limit: maxRecords, pauses: pauses}
	u.say("connecting")
	return u
}

// Good is the state of a link that works.
const Good = "ok"

// State says how the link is: Good, or why not.
func (u *Uploader) State() string { return *u.state.Load() }

func (u *Uploader) say(state string) { u.state.Store(&state) }

// Run uploads until ctx ends. What was not taken is there at the next start.
func (u *Uploader) Run(ctx context.Context) error {
	credential, err := loadCredential(u.cfg.Dir)
	if err != nil {
		return err
	}
	for {
		wait := debounce
		if err := u.all(ctx, credential); err != nil {
			wait = u.failed(ctx, err)
		} else {
			u.settled()
			select {
			case <-ctx.Done():
				return nil
			case <-u.deps.Journal.Changed():
			case <-u.deps.Statuses.Reported():
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (u *Uploader) settled() {
	u.pauses.Reset()
	u.Revoked.Store(0)
	if u.State() != Good {
		u.deps.Log.Info("uploads reach the console")
	}
	u.say(Good)
}

// failed says what is wrong, once, and how long to wait.
func (u *Uploader) failed(ctx context.Context, err error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	text, wait := err.Error(), u.pauses.NextBackOff()
	if status.Code(err) == codes.PermissionDenied {
		text = "revoked: the console has cut off this installation; detection and the journal go on here (a new console.token registers again)"
		wait = revokedPause
		u.Revoked.Store(1)
	}
	if u.State() != text {
		u.deps.Log.Warn("nothing is uploaded; the journal keeps it", logkey.Reason, text)
	}
	u.say(text)
	return wait
}

// all uploads everything that waits.
func (u *Uploader) all(ctx context.Context, c *credential) error {
	for {
		// The first call registers, and so tells which installation this is.
		if err := u.token(ctx, c); err != nil {
			return err
		}
		b, err := u.deps.Journal.Pending(c.Installation, u.limit, maxBytes)
		if err != nil {
			return fmt.Errorf("reading the journal: %w", err)
		}
		if b.Len() == 0 {
			break
		}
		if err := u.records(ctx, c, b); err != nil {
			return err
		}
	}
	for list := u.deps.Statuses.Take(maxStatuses); len(list) > 0; list = u.deps.Statuses.Take(maxStatuses) {
		switch err := u.call(ctx, c, &consolev1.UploadRequest{Statuses: list}); {
		case status.Code(err) == codes.InvalidArgument:
			u.deps.Losses.Add("upload", "status_refused", int64(len(list)))
		case err != nil:
			u.deps.Statuses.PutBack(list)
			return err
		}
	}
	return nil
}

// records uploads a batch. One that the console finds wrong is halved until the wrong record is alone, which is then
// skipped: it would be as wrong at every try, and hold up all that comes after it.
func (u *Uploader) records(ctx context.Context, c *credential, b journal.Batch) error {
	err := u.call(ctx, c, &consolev1.UploadRequest{Attacks: b.Attacks, Endpoints: b.Endpoints})
	switch code := status.Code(err); {
	case err == nil:
		u.limit = min(2*u.limit, maxRecords)
		u.Records.Add(int64(b.Len()))
	case code == codes.InvalidArgument && b.Len() == 1:
		u.deps.Losses.Add("upload", "record_refused", 1)
		u.deps.Log.Warn("the console refuses a record; it stays in the journal only", logkey.Error, err)
	case code == codes.InvalidArgument:
		u.limit = max(b.Len()/2, 1)
		return nil
	case code == codes.ResourceExhausted:
		u.limit = max(b.Len()/2, 1)
		return err
	default:
		return err
	}
	if err := u.deps.Journal.Uploaded(ctx, b); err != nil {
		return fmt.Errorf("noting what was uploaded: %w", err)
	}
	return nil
}

func (u *Uploader) token(ctx context.Context, c *credential) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := c.access(ctx, u.deps.Console, u.cfg, time.Now())
	return err
}

func (u *Uploader) call(ctx context.Context, c *credential, request *consolev1.UploadRequest) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	token, err := c.access(ctx, u.deps.Console, u.cfg, time.Now())
	if err != nil {
		return err
	}
	_, err = u.deps.Console.Upload(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), request)
	switch status.Code(err) {
	case codes.OK:
		return nil
	case codes.Unauthenticated, codes.PermissionDenied:
		// It holds no more, whatever it said of its end: the next try refreshes.
		c.token = ""
	default:
	}
	return fmt.Errorf("uploading: %w", err)
}
