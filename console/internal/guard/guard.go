// Package guard is what every request of a browser passes before anything else looks at it: the Host allow-list, the
// security headers, and the checks against requests that another site made.
package guard

import (
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy forbids everything but this origin: no third-party request, ever.
const policy = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"

// Headers sets the security headers of every answer.
func Headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// HTTPSOnly makes browsers keep to HTTPS, except on loopback, where the promise would hold for every other program
// of the machine.
func HTTPSOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.Host) {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

func loopback(host string) bool {
	name, _ := split(host)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.IsLoopback()
}

// Hosts lets through requests for the allowed hosts only, so that no foreign name can be made to point here (DNS
// rebinding). An entry without a port allows every port.
func Hosts(allowed []string, next http.Handler) http.Handler {
	set := map[string]bool{}
	for _, a := range allowed {
		set[join(split(a))] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, port := split(r.Host)
		if !set[name] && !set[join(name, port)] {
			http.Error(w, "this console does not go by that name: add it to ui.allowed_hosts", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// CheckHost says what is wrong with an entry of the allow-list.
func CheckHost(entry string) error {
	name, port := split(entry)
	if name == "" || strings.ContainsAny(name+port, "/*@ \t") {
		return fmt.Errorf("%q is no host: write a name or an address, with or without a port (\"console.example.com\", \"[::1]:8443\")", entry)
	}
	return nil
}

// split gives the lower-case name and the port, "" if there is none.
func split(hostport string) (name, port string) {
	name = hostport
	if h, p, err := net.SplitHostPort(hostport); err == nil {
		name, port = h, p
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	return strings.ToLower(strings.TrimSuffix(name, ".")), port
}

func join(name, port string) string {
	if port == "" {
		return name
	}
	return net.JoinHostPort(name, port)
}

// SameOrigin lets through API calls that a page of this console, or no browser at all, made: the type of the body
// is one that no form can send, and the browser says that the request is not cross-site.
func SameOrigin(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "refused: another site asked for this", http.StatusForbidden)
	}))
	return origin.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "API calls are POST", http.StatusMethodNotAllowed)
			return
		}
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || !apiType(kind) {
			http.Error(w, "API calls are application/json or application/proto (Connect protocol)", http.StatusUnsupportedMediaType)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	}))
}

func apiType(kind string) bool {
	switch kind {
	case "application/json", "application/proto", "application/connect+json", "application/connect+proto":
		return true
	default:
		return false
	}
}
