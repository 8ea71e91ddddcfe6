package demo

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/sidelight/sidelight/cli/table"
)

// liveEvery is the pace of the traffic that goes on.
const liveEvery = 200 * time.Millisecond

// live keeps the shop busy until Ctrl-C: most requests are ordinary, now and then one is an attack.
func (s *stage) live(ctx context.Context) error {
	s.invite("live traffic goes on")
	clients := []*table.Sender{s.site.sender(false), s.site.sender(true)}
	defer func() {
		for _, client := range clients {
			client.Close()
		}
	}()
	ticker := time.NewTicker(liveEvery)
	defer ticker.Stop()
	for seed := s.demo.opts.seed; ; seed++ {
		list, err := table.Plan(seed)
		if err != nil {
			return err
		}
		for i, p := range list {
			if p.Kind != table.Ordinary && mathrand.IntN(4) != 0 {
				continue
			}
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
			}
			if _, err := clients[i%len(clients)].Send(ctx, p); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
		}
	}
}

// idle leaves the traffic to the person.
func (s *stage) idle(ctx context.Context) error {
	s.invite("idle")
	<-ctx.Done()
	return nil
}

func (s *stage) invite(what string) {
	fmt.Fprintf(s.demo.out, "\n%s until Ctrl-C. Sign in at %s as admin with %s\n", what, s.state.ConsoleURL, s.console.Password)
	fmt.Fprintf(s.demo.out, "the certificate is this run's own, so your browser will warn you. The shop: curl http://%s/products, curl -k https://%s/products\n", s.site.address, s.site.tlsAddress)
}
