// Package caller carries who is asking from the gate, which checked it, to the handlers.
package caller

import "context"

// Person is somebody who is signed in.
type Person struct {
	Org          int64
	Organisation string
	User         string
	MustChange   bool
	// Check says whether the session still holds; long answers ask it from time to time. It does not keep an idle
	// session alive.
	Check func(ctx context.Context) error
}

// Installation is a cluster or host that proved its credential.
type Installation struct {
	Org     int64
	ID      string
	Cluster string
	// Check says whether the credential still holds.
	Check func(ctx context.Context) error
}

type personKey struct{}

type installationKey struct{}

// WithPerson returns a context of a request by p.
func WithPerson(ctx context.Context, p Person) context.Context {
	return context.WithValue(ctx, personKey{}, p)
}

// PersonOf gives the person behind a request.
func PersonOf(ctx context.Context) (Person, bool) {
	p, ok := ctx.Value(personKey{}).(Person)
	return p, ok
}

// WithInstallation returns a context of a request by i.
func WithInstallation(ctx context.Context, i Installation) context.Context {
	return context.WithValue(ctx, installationKey{}, i)
}

// InstallationOf gives the installation behind a request.
func InstallationOf(ctx context.Context) (Installation, bool) {
	i, ok := ctx.Value(installationKey{}).(Installation)
	return i, ok
}
