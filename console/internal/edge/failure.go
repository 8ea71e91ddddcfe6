// Package edge is what all Connect handlers share: limits, recovery, and the one mapping from errors to codes.
package edge

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"connectrpc.com/connect"

	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/internal/logkey"
)

// Nobody is the answer to a request of a person without a session that holds.
func Nobody() error {
	return connect.NewError(connect.CodeUnauthenticated, errors.New("not signed in: sign in first"))
}

// Failure maps what a handler met to what its caller may know. The reason goes to the log, never to the caller.
func Failure(ctx context.Context, log *slog.Logger, doing string, err error) error {
	var known *connect.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		// A copy: connect writes into the errors that it sends, and some of ours are shared.
		return connect.NewError(known.Code(), known.Unwrap())
	case errors.Is(ctx.Err(), context.Canceled):
		return connect.NewError(connect.CodeCanceled, errors.New("cancelled"))
	case store.Missing(err):
		return connect.NewError(connect.CodeNotFound, errors.New("there is no such thing: the list shows what there is"))
	case store.Away(err):
		log.WarnContext(ctx, "the database does not answer", "doing", doing, logkey.Error, err)
		return connect.NewError(connect.CodeUnavailable, errors.New("the console's database does not answer: try again in a moment"))
	default:
		log.ErrorContext(ctx, "a request failed", "doing", doing, logkey.Error, err)
		return connect.NewError(connect.CodeInternal, errors.New(doing+" failed: the console's log has the reason"))
	}
}

// Invalid is the answer to a request that can never work as it stands.
func Invalid(err error) error { return connect.NewError(connect.CodeInvalidArgument, err) }

// Refuse answers an HTTP request with err in the protocol that it speaks.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	writer := connect.NewErrorWriter()
	// A GET is a person opening a page: no procedure of ours may be called so.
	if r.Method == http.MethodPost && writer.IsSupported(r) {
		_ = writer.Write(w, r, err)
		return
	}
	status := http.StatusBadRequest
	message := err.Error()
	if known, ok := errors.AsType[*connect.Error](err); ok {
		message = known.Message()
		switch known.Code() {
		case connect.CodeUnauthenticated:
			status = http.StatusUnauthorized
		case connect.CodePermissionDenied:
			status = http.StatusForbidden
		case connect.CodeUnavailable:
			status = http.StatusServiceUnavailable
		default:
		}
	}
	http.Error(w, message, status)
}
