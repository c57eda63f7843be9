package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"e2e/echopb"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
)

// serve listens on an address or `unix:/path` and prints `READY address`, until SIGTERM.
func serve(args []string) error {
	var listen, certFile, keyFile string
	set := flag.NewFlagSet("server", flag.ExitOnError)
	set.StringVar(&listen, "listen", "127.0.0.1:0", "`address` or unix:/path")
	set.StringVar(&certFile, "tls-cert-file", "", "serve TLS with this `file`")
	set.StringVar(&keyFile, "tls-key-file", "", "its key `file`")
	set.Parse(args)

	options := []grpc.ServerOption{grpc.MaxRecvMsgSize(largestMessage)}
	if certFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return err
		}
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	}
	listener, address, err := bind(listen)
	if err != nil {
		return err
	}
	server := grpc.NewServer(options...)
	echopb.RegisterEchoServer(server, &echo{calls: map[string]*call{}, groups: map[string]*group{}})
	healthy := health.NewServer()
	healthy.SetServingStatus("e2e.v1.Echo", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, healthy)
	reflection.Register(server)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		server.Stop()
	}()
	fmt.Println("READY", address)
	return server.Serve(listener)
}

func bind(listen string) (net.Listener, string, error) {
	if path, found := strings.CutPrefix(listen, "unix:"); found {
		listener, err := net.Listen("unix", path)
		return listener, listen, err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, "", err
	}
	return listener, listener.Addr().String(), nil
}

type echo struct {
	echopb.UnimplementedEchoServer
	mu     sync.Mutex
	calls  map[string]*call
	groups map[string]*group
}

// call is one call of Wait, made once: either channel is closed once.
type call struct {
	begun              bool
	started, cancelled chan struct{}
}

// group is the calls of Gather with one id.
type group struct {
	arrived  uint32
	complete chan struct{}
}

func (e *echo) Unary(ctx context.Context, request *echopb.Message) (*echopb.Message, error) {
	incoming, _ := metadata.FromIncomingContext(ctx)
	back := metadata.MD{}
	for key, values := range incoming {
		if strings.HasPrefix(key, "x-echo-") {
			back[key] = values
		}
	}
	if err := errors.Join(grpc.SetHeader(ctx, back), grpc.SetTrailer(ctx, back)); err != nil {
		return nil, err
	}
	return request, nil
}

func (e *echo) ClientStream(stream echopb.Echo_ClientStreamServer) error {
	summary := &echopb.Summary{}
	digest := sha256.New()
	for {
		message, err := stream.Recv()
		if err == io.EOF {
			summary.Sha256 = digest.Sum(nil)
			return stream.SendAndClose(summary)
		}
		if err != nil {
			return err
		}
		summary.Messages++
		summary.Bytes += uint64(len(message.Payload))
		digest.Write(message.Payload)
		time.Sleep(time.Duration(message.PauseMs) * time.Millisecond)
	}
}

func (e *echo) ServerStream(request *echopb.ServerStreamRequest, stream echopb.Echo_ServerStreamServer) error {
	digest := sha256.New()
	for range request.Messages {
		payload := make([]byte, request.Size)
		rand.Read(payload)
		digest.Write(payload)
		if err := stream.Send(&echopb.Message{Payload: payload}); err != nil {
			return err
		}
	}
	stream.SetTrailer(metadata.Pairs("x-sha256-bin", string(digest.Sum(nil))))
	return nil
}

func (e *echo) Bidi(stream echopb.Echo_BidiServer) error {
	for {
		message, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(message); err != nil {
			return err
		}
	}
}

func (e *echo) Fail(ctx context.Context, request *echopb.FailRequest) (*echopb.Message, error) {
	if request.HeaderFirst {
		if err := grpc.SendHeader(ctx, metadata.Pairs("x-header", "sent")); err != nil {
			return nil, err
		}
	}
	failure, err := status.New(codes.Code(request.Code), request.Message).WithDetails(
		&errdetails.ErrorInfo{Reason: "E2E", Domain: "e2e.v1", Metadata: map[string]string{"peer": "any"}},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "code", Description: "as asked"},
		}})
	if err != nil {
		return nil, err
	}
	return nil, failure.Err()
}

func (e *echo) Wait(request *echopb.WaitRequest, stream echopb.Echo_WaitServer) error {
	call, err := e.begin(request.CallId)
	if err != nil {
		return err
	}
	if !request.Silent {
		if err := stream.Send(&echopb.Message{Text: "started"}); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	close(call.cancelled)
	return stream.Context().Err()
}

func (e *echo) Observe(ctx context.Context, request *echopb.ObserveRequest) (*echopb.ObserveResponse, error) {
	call := e.call(request.CallId)
	reached := call.started
	if request.State == echopb.ObserveRequest_CANCELLED {
		reached = call.cancelled
	}
	select {
	case <-reached:
		return &echopb.ObserveResponse{}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *echo) Gather(ctx context.Context, request *echopb.GatherRequest) (*echopb.GatherResponse, error) {
	arrival, complete := e.arrive(request)
	select {
	case <-complete:
		return &echopb.GatherResponse{Arrival: arrival}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *echo) call(id string) *call {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.calls[id] == nil {
		e.calls[id] = &call{started: make(chan struct{}), cancelled: make(chan struct{})}
	}
	return e.calls[id]
}

func (e *echo) begin(id string) (*call, error) {
	call := e.call(id)
	e.mu.Lock()
	defer e.mu.Unlock()
	if call.begun {
		return nil, status.Error(codes.AlreadyExists, "this call came twice")
	}
	call.begun = true
	close(call.started)
	return call, nil
}

func (e *echo) arrive(request *echopb.GatherRequest) (uint32, chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g := e.groups[request.Id]
	if g == nil {
		g = &group{complete: make(chan struct{})}
		e.groups[request.Id] = g
	}
	g.arrived++
	if g.arrived == request.Size {
		close(g.complete)
	}
	return g.arrived, g.complete
}
