package console

import (
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	"github.com/sidelight/sidelight/console/internal/attacks"
	"github.com/sidelight/sidelight/console/internal/changes"
	"github.com/sidelight/sidelight/console/internal/coverage"
	"github.com/sidelight/sidelight/console/internal/edge"
	"github.com/sidelight/sidelight/console/internal/guard"
	"github.com/sidelight/sidelight/console/internal/installations"
	"github.com/sidelight/sidelight/console/internal/inventory"
	"github.com/sidelight/sidelight/console/internal/people"
	"github.com/sidelight/sidelight/console/internal/policy"
	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/uplink"
	"github.com/sidelight/sidelight/console/internal/webui"
	"github.com/sidelight/sidelight/console/web"
)

// apiPrefix is where the page finds its API; all else is the page.
const apiPrefix = "/api"

const (
	// maxUIMessage bounds what a browser may send.
	maxUIMessage = 256 << 10
	// uiBody and uplinkBody bound how long that may take; a full upload passes at a megabit per second.
	uiBody     = 30 * time.Second
	uplinkBody = 2 * time.Minute
)

// handlers is what answers people.
type handlers struct {
	registry *installations.Registry
	sessions *people.Service
	hub      *changes.Hub
	policy   *policy.Keeper
	coverage *coverage.Service
}

func (s *Service) uiHandler(db *store.Store, h handlers) (http.Handler, error) {
	bundle, err := fs.Sub(web.Dist, "dist")
	if err != nil {
		return nil, fmt.Errorf("opening the page's bundle: %w", err)
	}
	page, err := webui.New(bundle)
	if err != nil {
		return nil, err
	}
	log, options := s.deps.Log, edge.Options(s.deps.Log, maxUIMessage)
	api := http.NewServeMux()
	api.Handle(consolev1connect.NewSessionServiceHandler(h.sessions, options...))
	api.Handle(consolev1connect.NewAttackServiceHandler(attacks.New(db, h.hub, log), options...))
	api.Handle(consolev1connect.NewEndpointServiceHandler(inventory.New(db, log), options...))
	api.Handle(consolev1connect.NewInstallationServiceHandler(installations.NewService(h.registry, log), options...))
	api.Handle(consolev1connect.NewCoverageServiceHandler(h.coverage, options...))
	api.Handle(consolev1connect.NewPolicyServiceHandler(policy.NewService(h.policy, log), edge.Options(log, policy.MaxMessage)...))

	all := http.NewServeMux()
	all.Handle(apiPrefix+"/", guard.SameOrigin(http.StripPrefix(apiPrefix, h.sessions.Gate(api))))
	all.Handle("/", page)
	return edge.Bodies(uiBody, all), nil
}

func (s *Service) uplinkHandler(db *store.Store, registry *installations.Registry, keeper *policy.Keeper, hub *changes.Hub) http.Handler {
	service := uplink.New(uplink.Deps{
		Store: db, Registry: registry, Policy: keeper, Hub: hub, Counted: s.counted, Log: s.deps.Log, Now: s.deps.now,
	})
	mux := http.NewServeMux()
	mux.Handle(consolev1connect.NewUplinkServiceHandler(service, edge.Options(s.deps.Log, uplink.MaxMessage)...))
	return edge.Bodies(uplinkBody, service.Gate(mux))
}
