// Package changes tells open pages and streams of every console process that something was written, through Postgres
// LISTEN/NOTIFY, so that nobody need ask again and again.
package changes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	"github.com/sidelight/sidelight/internal/logkey"
)

// Kind is a set of what changed.
type Kind uint8

// What can change.
const (
	Attacks Kind = 1 << iota
	Endpoints
	// Policy: a newer one was published.
	Policy
	// Credentials: an installation or a token was cut off.
	Credentials

	all = Attacks | Endpoints | Policy | Credentials
)

// Audience is one sort of subscribers: what they wait for, and how many there may be; each costs a connection and a goroutine.
type Audience struct {
	wants Kind
	most  int
	full  error
}

// Who subscribes.
var (
	Pages         = &Audience{Attacks | Endpoints, 1000, ErrFull}
	Installations = &Audience{Policy | Credentials, 10_000, errors.New("too many installations watch this console: start another console process")}
)

const (
	// channel is also named in the Notify query.
	channel = "sidelight_console"
	// settled is how long a connection must hold before a failure starts again with a short wait.
	settled = 30 * time.Second
)

// ErrFull says that too many pages are open.
var ErrFull = errors.New("too many open pages: close some")

type listener interface {
	Listen(ctx context.Context, channel string, ready func(), got func(payload string)) error
}

// Announce tells everybody that kinds changed for org, once the transaction of q commits.
func Announce(ctx context.Context, q *dbsqlc.Queries, org int64, kinds Kind) error {
	if kinds == 0 {
		return nil
	}
	if err := q.Notify(ctx, fmt.Sprintf("%d %d", org, kinds)); err != nil {
		return fmt.Errorf("announcing a change: %w", err)
	}
	return nil
}

// Hub hands what it hears to subscriptions.
type Hub struct {
	source listener
	log    *slog.Logger
	done   chan struct{}
	// listening is closed when nothing that is announced from now on can be missed.
	listening chan struct{}
	once      sync.Once

	mu   sync.Mutex
	subs map[*Subscription]struct{}
	// open counts subscriptions.
	open map[*Audience]int
}

// New makes a hub that hears nothing until Run.
func New(source listener, log *slog.Logger) *Hub {
	return &Hub{
		source: source, log: log, done: make(chan struct{}), listening: make(chan struct{}),
		subs: map[*Subscription]struct{}{}, open: map[*Audience]int{},
	}
}

// Run listens until ctx ends, and connects again when the database was away. It may run once.
func (h *Hub) Run(ctx context.Context) error {
	defer close(h.done)
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, 5*time.Second
	for {
		since := time.Now()
		err := h.source.Listen(ctx, channel, h.hears, h.got)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(since) > settled {
			wait.Reset()
		}
		h.log.WarnContext(ctx, "lost the database, open pages see no changes until it is back", logkey.Error, err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait.NextBackOff()):
		}
	}
}

// hears is called with every new connection.
func (h *Hub) hears() {
	h.once.Do(func() { close(h.listening) })
	// What was announced while nobody listened is lost: let everybody look.
	h.publish(0, all)
}

// Listening is closed when the hub hears for the first time.
func (h *Hub) Listening() <-chan struct{} { return h.listening }

// Done is closed when the hub has ended: whoever waits for changes waits in vain.
func (h *Hub) Done() <-chan struct{} { return h.done }

func (h *Hub) got(payload string) {
	org, kinds, ok := parse(payload)
	if !ok {
		h.log.Warn("somebody else notifies on the console's channel", logkey.Reason, "unknown payload")
		return
	}
	h.publish(org, kinds)
}

func parse(payload string) (org int64, kinds Kind, ok bool) {
	left, right, _ := strings.Cut(payload, " ")
	org, err := strconv.ParseInt(left, 10, 64)
	if err != nil || org <= 0 {
		return 0, 0, false
	}
	k, err := strconv.ParseUint(right, 10, 8)
	if err != nil {
		return 0, 0, false
	}
	// A newer process may know kinds that we do not.
	return org, Kind(k) & all, true
}

// publish reaches the subscriptions of org, or of everybody for 0.
func (h *Hub) publish(org int64, kinds Kind) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		if wanted := kinds & s.audience.wants; (org == 0 || s.org == org) && wanted != 0 {
			s.add(wanted)
		}
	}
}
