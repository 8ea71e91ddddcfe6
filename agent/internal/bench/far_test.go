package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
	"github.com/sidelight/sidelight/internal/tlsreload"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
)

// perSecond is how many exchanges the other end takes, 0 for as many as come.
const perSecond = "SIDELIGHT_BENCH_PER_SECOND"

// came is what the other end says when its input ends.
type came struct {
	Batches, Exchanges, Distinct, Bytes int
}

// far acknowledges batches and counts what is in them, without making messages of it.
type far struct {
	aggregatorv1.UnimplementedMirrorServiceServer
	each time.Duration

	mu   sync.Mutex
	came came
	// ids has no pointers: the other end's collector works on the same processors.
	ids map[[16]byte]struct{}
}

func (f *far) Mirror(stream aggregatorv1.MirrorService_MirrorServer) error {
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	var m raw
	for {
		if err := stream.RecvMsg(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		field, _, n := protowire.ConsumeTag(m)
		batch, _ := protowire.ConsumeBytes(m[n:])
		if field != 2 {
			continue
		}
		sequence, exchanges := f.count(batch)
		if f.each > 0 {
			<-time.After(f.each * time.Duration(exchanges))
		}
		ack := &aggregatorv1.Ack{Sequence: sequence}
		if err := stream.Send(&aggregatorv1.MirrorResponse{Message: &aggregatorv1.MirrorResponse_Ack{Ack: ack}}); err != nil {
			return err
		}
	}
}

func (f *far) count(batch []byte) (sequence uint64, exchanges int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.came.Batches++
	f.came.Bytes += len(batch)
	for len(batch) > 0 {
		field, kind, n := protowire.ConsumeTag(batch)
		value := batch[n:]
		size := protowire.ConsumeFieldValue(field, kind, value)
		switch field {
		case 1:
			sequence, _ = protowire.ConsumeVarint(value)
		case 2:
			exchanges++
			body, _ := protowire.ConsumeBytes(value)
			_, _, n := protowire.ConsumeTag(body)
			id, _ := protowire.ConsumeBytes(body[n:])
			f.ids[[16]byte(id)] = struct{}{}
		}
		batch = value[size:]
	}
	f.came.Exchanges += exchanges
	return sequence, exchanges
}

// serve is the other end's whole life.
func serve(dir string) error {
	source := tlsreload.New(files(dir), tlsreload.Deps{Log: testkit.Quiet()})
	if err := source.Ready(); err != nil {
		return err
	}
	f := &far{ids: map[[16]byte]struct{}{}}
	if n, _ := strconv.Atoi(os.Getenv(perSecond)); n > 0 {
		f.each = time.Second / time.Duration(n)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(source.Server())), grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(grpcproto.Name)}))
	aggregatorv1.RegisterMirrorServiceServer(server, f)
	go func() { _ = server.Serve(listener) }()
	fmt.Println(listener.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	server.Stop()
	f.came.Distinct = len(f.ids)
	return json.NewEncoder(os.Stdout).Encode(f.came)
}

type raw []byte

type codec struct{ encoding.CodecV2 }

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if r, ok := v.(*raw); ok {
		*r = append((*r)[:0], make([]byte, data.Len())...)
		data.CopyTo(*r)
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

func files(dir string) tlsreload.Config {
	return tlsreload.Config{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), CA: filepath.Join(dir, "ca.crt")}
}

// start runs the other end as a process of its own; end gives what came there.
func start(t testing.TB, ca *testpki.CA, rate int) (address string, end func() came) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), farEnd+"="+filepath.Dir(ca.Files(t, "aggregator").Cert), perSecond+"="+strconv.Itoa(rate))
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	require.NoError(t, err)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	var once sync.Once
	var c came
	end = func() came {
		once.Do(func() {
			_ = in.Close()
			require.True(t, lines.Scan())
			require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
			require.NoError(t, child.Wait())
		})
		return c
	}
	t.Cleanup(func() { end() })
	return lines.Text(), end
}
