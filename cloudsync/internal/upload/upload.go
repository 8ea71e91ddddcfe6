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
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/losses"

	"github.com/sidelight/sidelight/cloudsync/internal/installation"
	"github.com/sidelight/sidelight/cloudsync/internal/journal"
)

const (
	// debounce lets changes that come together go together.
	debounce = 50 * time.Millisecond
	// Bounds of one call. Proxies take no more than 1 MiB unless told to.
	maxRecords   = 500
	maxBytes     = 768 << 10
	maxStatuses  = 200
	maxIntervals = 1000
	callTimeout  = 30 * time.Second
	// Pauses after failures. A revoked installation asks now and then: a person may change their mind.
	minPause     = 200 * time.Millisecond
	maxPause     = 15 * time.Second
	revokedPause = time.Minute
)

type uplink interface {
	Upload(ctx context.Context, in *consolev1.UploadRequest, opts ...grpc.CallOption) (*consolev1.UploadResponse, error)
}

type account interface {
	Destination(ctx context.Context) (string, error)
	Call(ctx context.Context, call func(context.Context) error) error
}

type record interface {
	Pending(destination string, limit, maxBytes int) (journal.Batch, error)
	Uploaded(ctx context.Context, b journal.Batch) error
	Changed() <-chan struct{}
}

type statuses interface {
	Take(limit int) []*statusv1.PartStatus
	PutBack([]*statusv1.PartStatus)
	Reported() <-chan struct{}
}

type intervals interface {
	Untold(limit int) []*statusv1.BlindInterval
	Told([]*statusv1.BlindInterval)
	Changed() <-chan struct{}
}

// Deps is what an uploader works with.
type Deps struct {
	Console   uplink
	Account   account
	Journal   record
	Statuses  statuses
	Intervals intervals
	Log       *slog.Logger
	Losses    *losses.Losses
}

// Uploader is one installation's outbound link.
type Uploader struct {
	deps  Deps
	state atomic.Pointer[string]
	// limit shrinks while the console finds something wrong in a batch, until that one record is alone.
	limit int
	// pauses grow with failures in a row.
	pauses *backoff.ExponentialBackOff
	// Records counts attacks and endpoints that the console took, Intervals blind intervals, Calls those that went well;
	// Revoked is 1 while it refuses this installation.
	Records, Intervals, Calls, Revoked atomic.Int64
}

// New makes an uploader that does nothing until Run.
func New(deps Deps) *Uploader {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = minPause, maxPause, 2
	u := &Uploader{deps: deps, limit: maxRecords, pauses: pauses}
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
	for {
		wait := debounce
		if err := u.all(ctx); err != nil {
			wait = u.failed(ctx, err)
		} else {
			u.settled()
			select {
			case <-ctx.Done():
				return nil
			case <-u.deps.Journal.Changed():
			case <-u.deps.Statuses.Reported():
			case <-u.deps.Intervals.Changed():
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
	if installation.Refused(err) {
		wait = revokedPause
		u.Revoked.Store(1)
		text = "the console refuses this installation's credential (was its token regenerated?): " + text
		if status.Code(err) == codes.PermissionDenied {
			text = "revoked: the console has cut off this installation"
		}
		text += "; detection and the journal go on here (a new console.token registers again)"
	}
	if u.State() != text {
		u.deps.Log.Warn("nothing is uploaded; the journal keeps it", logkey.Reason, text)
	}
	u.say(text)
	return wait
}

// all uploads everything that waits.
func (u *Uploader) all(ctx context.Context) error {
	for {
		// The first call registers, and so tells where to.
		destination, err := u.deps.Account.Destination(ctx)
		if err != nil {
			return err
		}
		b, err := u.deps.Journal.Pending(destination, u.limit, maxBytes)
		if err != nil {
			return fmt.Errorf("reading the journal: %w", err)
		}
		if b.Len() == 0 {
			break
		}
		if err := u.records(ctx, b); err != nil {
			return err
		}
	}
	if err := u.intervals(ctx); err != nil {
		return err
	}
	return u.statuses(ctx)
}

// intervals uploads the blind intervals that wait. One that the console finds wrong must not hold up the others.
func (u *Uploader) intervals(ctx context.Context) error {
	limit := maxIntervals
	for list := u.deps.Intervals.Untold(limit); len(list) > 0; list = u.deps.Intervals.Untold(limit) {
		switch err := u.call(ctx, &consolev1.UploadRequest{BlindIntervals: list}); {
		case status.Code(err) == codes.InvalidArgument && len(list) > 1:
			limit = 1
			continue
		case status.Code(err) == codes.InvalidArgument:
			u.deps.Losses.Add("upload", "blind_interval_refused", 1)
		case err != nil:
			return err
		default:
			u.Intervals.Add(int64(len(list)))
		}
		u.deps.Intervals.Told(list)
	}
	return nil
}

func (u *Uploader) statuses(ctx context.Context) error {
	for list := u.deps.Statuses.Take(maxStatuses); len(list) > 0; list = u.deps.Statuses.Take(maxStatuses) {
		for len(list) > 0 {
			n := fits(list)
			switch err := u.call(ctx, &consolev1.UploadRequest{Statuses: list[:n]}); {
			case status.Code(err) == codes.InvalidArgument:
				u.deps.Losses.Add("upload", "status_refused", int64(n))
			case err != nil:
				u.deps.Statuses.PutBack(list)
				return err
			}
			list = list[n:]
		}
	}
	return nil
}

// fits counts the reports that go into one call, at least one.
func fits(list []*statusv1.PartStatus) int {
	size := 0
	for i, r := range list {
		if size += proto.Size(r); size > maxBytes && i > 0 {
			return i
		}
	}
	return len(list)
}

// records uploads a batch. One that the console finds wrong is halved until the wrong record is alone, which is then
// skipped: it would be as wrong at every try, and hold up all that comes after it.
func (u *Uploader) records(ctx context.Context, b journal.Batch) error {
	err := u.call(ctx, &consolev1.UploadRequest{Attacks: b.Attacks, Endpoints: b.Endpoints})
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
	case code == codes.ResourceExhausted, code == codes.Unknown:
		// Unknown is how a proxy says that a call is too large for it, among other things.
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

func (u *Uploader) call(ctx context.Context, request *consolev1.UploadRequest) error {
	err := u.deps.Account.Call(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		_, err := u.deps.Console.Upload(ctx, request)
		return err
	})
	if err != nil {
		return fmt.Errorf("uploading: %w", err)
	}
	u.Calls.Add(1)
	return nil
}
