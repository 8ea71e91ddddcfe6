package signer

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

// answerWithin bounds one call, an fsync included.
const answerWithin = 5 * time.Second

// What a console without its signer says.
var (
	ErrNone = errors.New("no signer is configured: start console/cmd/signer and set signer.socket")
	ErrAway = errors.New("the signer does not answer: is it running, with this console's uid as allow_uid?")
)

// Client is the console's end of the socket.
type Client struct {
	socket string
	rpc    consolev1connect.SignerServiceClient
}

// NewClient makes a client of the signer at socket; "" = there is none.
func NewClient(socket string) *Client {
	transport := &http.Transport{
		// Calls are rare: a connection each, and nothing to close.
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	return &Client{socket: socket, rpc: consolev1connect.NewSignerServiceClient(&http.Client{Transport: transport}, "http://signer")}
}

// PublicKey asks for the key that signs.
func (c *Client) PublicKey(ctx context.Context) (ed25519.PublicKey, error) {
	if c.socket == "" {
		return nil, ErrNone
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	res, err := c.rpc.PublicKey(ctx, connect.NewRequest(&consolev1.PublicKeyRequest{}))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	if len(res.Msg.GetKey()) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: its key has %d bytes", ErrAway, len(res.Msg.GetKey()))
	}
	return res.Msg.GetKey(), nil
}

// Sign asks for a signature. A *SequenceError says where to go on.
func (c *Client) Sign(ctx context.Context, manifest []byte) ([]byte, error) {
	if c.socket == "" {
		return nil, ErrNone
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	res, err := c.rpc.Sign(ctx, connect.NewRequest(&consolev1.SignRequest{Manifest: manifest}))
	if err == nil {
		return res.Msg.GetSignature(), nil
	}
	switch connect.CodeOf(err) {
	case connect.CodeFailedPrecondition:
		return nil, refused(err)
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded:
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	default:
		return nil, fmt.Errorf("asking the signer: %w", err)
	}
}

func refused(err error) error {
	if answer, ok := errors.AsType[*connect.Error](err); ok {
		for _, d := range answer.Details() {
			value, err := d.Value()
			if last, ok := value.(*wrapperspb.UInt64Value); err == nil && ok {
				return &SequenceError{Last: last.GetValue()}
			}
		}
	}
	return fmt.Errorf("asking the signer: %w", err)
}
