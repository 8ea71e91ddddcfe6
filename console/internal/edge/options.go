package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/sidelight/sidelight/internal/logkey"
)

// unaryTime bounds every call but streams, the wait for a database that is away included.
const unaryTime = 10 * time.Second

// Options are the handler options of a listener whose messages hold at most maxMessage bytes, unpacked.
func Options(log *slog.Logger, maxMessage int) []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithReadMaxBytes(maxMessage),
		connect.WithRecover(func(ctx context.Context, spec connect.Spec, _ http.Header, panicked any) error {
			log.ErrorContext(ctx, "a handler panicked", "procedure", spec.Procedure, logkey.Error, fmt.Sprint(panicked))
			return connect.NewError(connect.CodeInternal, errors.New("internal error: the console's log has the reason"))
		}),
		connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
			return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
				ctx, cancel := context.WithTimeout(ctx, unaryTime)
				defer cancel()
				return next(ctx, req)
			}
		})),
	}
}

// Bodies ends requests whose body takes longer than limit to arrive. Streams are left alone: over HTTP/1.1 the
// deadline would end the answer too, and their gates refuse strangers before a body is read.
func Bodies(limit time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/Watch") {
			// A writer that knows no deadlines is one of a test.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit))
		}
		next.ServeHTTP(w, r)
	})
}
