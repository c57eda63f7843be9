package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"e2e/echopb"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	// caseLimit is far above what any case takes, so that a hang fails by name.
	caseLimit  = 30 * time.Second
	concurrent = 1000
)

// caller runs cases over one connection.
type caller struct {
	echopb.EchoClient
	conn *grpc.ClientConn
}

var cases = map[string]func(caller, context.Context) error{
	"unary":           caller.unary,
	"client-stream":   caller.clientStream,
	"server-stream":   caller.serverStream,
	"bidi":            caller.bidi,
	"metadata":        caller.metadata,
	"error-details":   caller.errorDetails,
	"trailers-only":   caller.trailersOnly,
	"deadline":        caller.deadline,
	"cancel":          caller.cancel,
	"cancel-silent":   caller.cancelSilent,
	"large-unary":     caller.largeUnary,
	"large-upload":    caller.largeUpload,
	"large-download":  caller.largeDownload,
	"large-bidi":      caller.largeBidi,
	"concurrent-1000": caller.gather,
	"reflection":      caller.reflection,
	"health":          caller.health,
}

// runCases runs the cases named and prints one JSON line for each.
func runCases(args []string) error {
	var to target
	set := flag.NewFlagSet("client", flag.ExitOnError)
	to.flags(set)
	set.Parse(args)
	conn, err := to.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	return tell(set.Args(), cases, caller{echopb.NewEchoClient(conn), conn})
}

// tell runs the cases named, and prints an outcome for each, one JSON line.
func tell[Caller any](names []string, cases map[string]func(Caller, context.Context) error, c Caller) error {
	for _, name := range names {
		began := time.Now()
		err := runCase(cases[name], c)
		outcome := map[string]any{"case": name, "ok": err == nil, "ms": time.Since(began).Milliseconds()}
		if err != nil {
			outcome["why"] = err.Error()
		}
		if err := json.NewEncoder(os.Stdout).Encode(outcome); err != nil {
			return err
		}
	}
	return nil
}

func runCase[Caller any](run func(Caller, context.Context) error, c Caller) error {
	if run == nil {
		return fmt.Errorf("no such case")
	}
	ctx, cancel := context.WithTimeout(context.Background(), caseLimit)
	defer cancel()
	return run(c, ctx)
}

func (c caller) unary(ctx context.Context) error {
	for _, size := range []int{0, 1, 20_000} {
		request := &echopb.Message{Text: strings.Repeat("ü", size), Payload: random(size)}
		reply, err := c.Unary(ctx, request)
		if err != nil {
			return err
		}
		if !proto.Equal(request, reply) {
			return fmt.Errorf("a message of %d bytes came back different", size)
		}
	}
	return nil
}

func (c caller) clientStream(ctx context.Context) error {
	for _, count := range []int{0, 1, 20} {
		if err := c.upload(ctx, count, 1000, 0); err != nil {
			return err
		}
	}
	return nil
}

func (c caller) serverStream(ctx context.Context) error {
	for _, count := range []int{0, 1, 20} {
		if err := c.download(ctx, count, 1000, 0); err != nil {
			return err
		}
	}
	return nil
}

// bidi sends each message only after the answer to the one before.
func (c caller) bidi(ctx context.Context) error {
	stream, err := c.Bidi(ctx)
	if err != nil {
		return err
	}
	for round := range 50 {
		if err := pingPong(stream, fmt.Sprint("round ", round)); err != nil {
			return err
		}
	}
	return endBidi(stream)
}

func (c caller) metadata(ctx context.Context) error {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	sent := metadata.Pairs("x-echo-text", "first", "x-echo-text", "second, with comma",
		"x-echo-bin", string(every), "x-echo-empty-bin", "")
	var header, trailer metadata.MD
	_, err := c.Unary(metadata.NewOutgoingContext(ctx, sent), &echopb.Message{},
		grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil {
		return err
	}
	for key, values := range sent {
		if !slices.Equal(header[key], values) || !slices.Equal(trailer[key], values) {
			return fmt.Errorf("%s: sent %q, header %q, trailer %q", key, values, header[key], trailer[key])
		}
	}
	return nil
}

func (c caller) errorDetails(ctx context.Context) error {
	const message = "not yet: 100 % of ü\nare missing"
	var header metadata.MD
	_, err := c.Fail(ctx, &echopb.FailRequest{
		Code: int32(codes.FailedPrecondition), Message: message, HeaderFirst: true,
	}, grpc.Header(&header))
	if err := expect(err, codes.FailedPrecondition, message); err != nil {
		return err
	}
	if !slices.Equal(header["x-header"], []string{"sent"}) {
		return fmt.Errorf("the header before the error is missing: %v", header)
	}
	return expectDetails(err)
}

func (c caller) trailersOnly(ctx context.Context) error {
	var header metadata.MD
	_, err := c.Fail(ctx, &echopb.FailRequest{Code: int32(codes.NotFound), Message: "nothing here"},
		grpc.Header(&header))
	if err := expect(err, codes.NotFound, "nothing here"); err != nil {
		return err
	}
	if len(header) != 0 {
		return fmt.Errorf("it has become header and trailer: %v", header)
	}
	return expectDetails(err)
}

func (c caller) deadline(ctx context.Context) error {
	id := callID()
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	stream, err := c.Wait(short, &echopb.WaitRequest{CallId: id})
	if err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}
	if _, err := stream.Recv(); status.Code(err) != codes.DeadlineExceeded {
		return fmt.Errorf("expected DeadlineExceeded, got %w", err)
	}
	return c.observe(ctx, id, echopb.ObserveRequest_CANCELLED)
}

func (c caller) cancel(ctx context.Context) error {
	return c.cancelled(ctx, false)
}

// cancelSilent cancels before the server has sent anything.
func (c caller) cancelSilent(ctx context.Context) error {
	return c.cancelled(ctx, true)
}

func (c caller) cancelled(ctx context.Context, silent bool) error {
	id := callID()
	short, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.Wait(short, &echopb.WaitRequest{CallId: id, Silent: silent})
	if err != nil {
		return err
	}
	if err := c.observe(ctx, id, echopb.ObserveRequest_STARTED); err != nil {
		return err
	}
	if !silent {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		return fmt.Errorf("expected Canceled, got %w", err)
	}
	return c.observe(ctx, id, echopb.ObserveRequest_CANCELLED)
}

// gather has every call in flight at once: the server answers none before it has all.
func (c caller) gather(ctx context.Context) error {
	type outcome struct {
		arrival uint32
		err     error
	}
	id := callID()
	outcomes := make(chan outcome, concurrent)
	for range concurrent {
		go func() {
			reply, err := c.Gather(ctx, &echopb.GatherRequest{Id: id, Size: concurrent})
			outcomes <- outcome{reply.GetArrival(), err}
		}()
	}
	seen := map[uint32]bool{}
	for range concurrent {
		got := <-outcomes
		if got.err != nil {
			return got.err
		}
		seen[got.arrival] = true
	}
	if len(seen) != concurrent {
		return fmt.Errorf("%d calls got only %d different answers", concurrent, len(seen))
	}
	return nil
}

// reflection asks by v1, and by v1alpha where the server has no v1, as grpcurl does.
func (c caller) reflection(ctx context.Context) error {
	services, err := c.services(ctx, "v1")
	if status.Code(err) == codes.Unimplemented {
		services, err = c.services(ctx, "v1alpha")
	}
	if err != nil {
		return err
	}
	for _, want := range []string{"e2e.v1.Echo", "grpc.health.v1.Health"} {
		if !slices.Contains(services, want) {
			return fmt.Errorf("%s is not among %v", want, services)
		}
	}
	return nil
}

// services asks one version of reflection. v1alpha has the same messages as v1 under another name.
func (c caller) services(ctx context.Context, version string) ([]string, error) {
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := c.conn.NewStream(ctx, desc, "/grpc.reflection."+version+".ServerReflection/ServerReflectionInfo")
	if err != nil {
		return nil, err
	}
	err = stream.SendMsg(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	})
	if err != nil && err != io.EOF {
		return nil, err
	}
	reply := &grpc_reflection_v1.ServerReflectionResponse{}
	if err := stream.RecvMsg(reply); err != nil {
		return nil, err
	}
	var names []string
	for _, service := range reply.GetListServicesResponse().GetService() {
		names = append(names, service.Name)
	}
	return names, stream.CloseSend()
}

func (c caller) health(ctx context.Context) error {
	client := grpc_health_v1.NewHealthClient(c.conn)
	for _, service := range []string{"", "e2e.v1.Echo"} {
		reply, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil {
			return err
		}
		if reply.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			return fmt.Errorf("%q is %v", service, reply.Status)
		}
	}
	_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "e2e.v1.Missing"})
	if status.Code(err) != codes.NotFound {
		return fmt.Errorf("expected NotFound for a service that is not there, got %v", err)
	}
	return nil
}

func (c caller) observe(ctx context.Context, id string, state echopb.ObserveRequest_State) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := c.Observe(ctx, &echopb.ObserveRequest{CallId: id, State: state}); err != nil {
		return fmt.Errorf("the server has not seen %v: %w", state, err)
	}
	return nil
}

func expect(err error, code codes.Code, message string) error {
	got := status.Convert(err)
	if got.Code() != code || got.Message() != message {
		return fmt.Errorf("expected %v %q, got %v %q", code, message, got.Code(), got.Message())
	}
	return nil
}

func expectDetails(err error) error {
	details := status.Convert(err).Details()
	if len(details) != 2 {
		return fmt.Errorf("expected two details, got %v", details)
	}
	info, _ := details[0].(*errdetails.ErrorInfo)
	bad, _ := details[1].(*errdetails.BadRequest)
	if info.GetReason() != "E2E" || info.GetMetadata()["peer"] != "any" ||
		len(bad.GetFieldViolations()) != 1 || bad.FieldViolations[0].Field != "code" {
		return fmt.Errorf("the details came back different: %v", details)
	}
	return nil
}

func callID() string { return rand.Text() }
