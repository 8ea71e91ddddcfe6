package parts

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	_ "github.com/sidelight/sidelight/proto/gen/sidelight/apidiscovery/v1" // what a part offers is looked up in what is linked
)

// identities are all that Sidelight knows, and one that it does not.
var identities = []string{"agent", "aggregator", "processor", "apidiscovery", "cloudsync", "console", "operator", "stranger"}

// mayCall says who may call what; what is not here may be called by nobody. An operator has nothing that writes.
var mayCall = map[string][]string{
	"sidelight.aggregator.v1.MirrorService/Mirror":             {"agent"},
	"sidelight.aggregator.v1.TailService/Tail":                 {"operator"},
	"sidelight.processor.v1.InspectService/Inspect":            {"aggregator"},
	"sidelight.processor.v1.BehaviourService/Track":            {"processor"},
	"sidelight.apidiscovery.v1.ObservationService/Observe":     {"processor"},
	"sidelight.apidiscovery.v1.InventoryService/ListEndpoints": {"operator"},
	"sidelight.apidiscovery.v1.InventoryService/GetEndpoint":   {"operator"},
	"sidelight.apidiscovery.v1.InventoryService/ExportOpenAPI": {"operator"},
	"sidelight.cloudsync.v1.JournalService/Commit":             {"processor"},
	"sidelight.cloudsync.v1.JournalService/ListAttacks":        {"operator"},
	"sidelight.cloudsync.v1.InventoryService/PushDeltas":       {"apidiscovery"},
	"sidelight.cloudsync.v1.StatusService/Report":              {"agent", "aggregator", "processor", "apidiscovery", "console"},
	"sidelight.cloudsync.v1.StatusService/ListStatus":          {"operator"},
	"sidelight.cloudsync.v1.PolicyService/Watch":               {"agent", "aggregator", "processor", "apidiscovery"},
}

// everyone may ask how a part is, and what it offers.
var everyone = []string{"grpc.health.v1.Health/", "grpc.reflection.v1.ServerReflection/", "grpc.reflection.v1alpha.ServerReflection/"}

func TestWhoMayCallWhat(t *testing.T) {
	f := newFleet(t, options{})
	called := map[string]bool{}
	for _, target := range []struct {
		process *process
		port    int
	}{{f.aggregators[0], 7412}, {f.processor[0], 7413}, {f.apidiscovery, 7414}, {f.cloudsync, 7415}} {
		service := f.services[target.process.name]
		methods := f.methods(f.dial(target.process, target.port, service))
		for _, identity := range identities {
			conn := f.dialAs(target.process, target.port, service, identity)
			for _, m := range methods {
				called[m.name] = true
				allowed := slices.Contains(mayCall[m.name], identity) ||
					identity != "stranger" && slices.ContainsFunc(everyone, func(prefix string) bool { return strings.HasPrefix(m.name, prefix) })
				code := m.call(t, conn)
				require.Equal(t, !allowed, code == codes.PermissionDenied, "%s calls %s of %s: %s", identity, m.name, target.process.name, code)
			}
		}
	}
	for name := range mayCall {
		require.True(t, called[name], "%s is offered by no part", name)
	}
}

type method struct {
	name   string
	desc   protoreflect.MethodDescriptor
	stream grpc.StreamDesc
}

// methods asks the part itself what it offers: none can be forgotten here.
func (f *fleet) methods(conn *grpc.ClientConn) []method {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer cancel()
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	require.NoError(f.t, err)
	require.NoError(f.t, stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}))
	answer, err := stream.Recv()
	require.NoError(f.t, err)
	var list []method
	for _, s := range answer.GetListServicesResponse().GetService() {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(s.GetName()))
		if err != nil && strings.HasPrefix(s.GetName(), "grpc.") {
			continue
		}
		require.NoError(f.t, err, s.GetName())
		service, ok := found.(protoreflect.ServiceDescriptor)
		require.True(f.t, ok)
		for i := range service.Methods().Len() {
			m := service.Methods().Get(i)
			list = append(list, method{
				name: s.GetName() + "/" + string(m.Name()), desc: m,
				stream: grpc.StreamDesc{StreamName: string(m.Name()), ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer()},
			})
		}
	}
	require.NotEmpty(f.t, list)
	return list
}

// call makes an empty call, and says how it ended; a stream that stays open was let in.
func (m method) call(t *testing.T, conn *grpc.ClientConn) codes.Code {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	// A first call on a connection may wait for it.
	ready, ok := context.WithTimeout(t.Context(), 20*time.Second)
	defer ok()
	conn.Connect()
	for s := conn.GetState(); s.String() != "READY"; s = conn.GetState() {
		require.True(t, conn.WaitForStateChange(ready, s), "no connection: %s", s)
	}
	in, out := dynamicpb.NewMessage(m.desc.Input()), dynamicpb.NewMessage(m.desc.Output())
	if !m.desc.IsStreamingClient() && !m.desc.IsStreamingServer() {
		return status.Code(conn.Invoke(ctx, "/"+m.name, in, out))
	}
	stream, err := conn.NewStream(ctx, &m.stream, "/"+m.name)
	if err != nil {
		return status.Code(err)
	}
	if err := stream.SendMsg(in); err == nil {
		_ = stream.CloseSend()
	}
	return status.Code(stream.RecvMsg(out))
}
