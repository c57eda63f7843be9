package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

// serve echoes messages, and tells when a call that it holds has ended.
func serve(args []string) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	age := flags.Duration("age", 0, "how long a connection lives; 0 is for ever")
	idle := flags.Duration("idle", 0, "how long an idle connection lives; 0 is for ever")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("listening", listener.Addr())
	server := grpc.NewServer(
		grpc.ForceServerCodec(raw{}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge:      *age,
			MaxConnectionAgeGrace: 5 * time.Second,
			MaxConnectionIdle:     *idle,
		}),
	)
	server.RegisterService(&service, nil)
	return server.Serve(listener)
}

var service = grpc.ServiceDesc{
	ServiceName: "honest.Honest",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Echo", Handler: echo}},
	Streams:     []grpc.StreamDesc{{StreamName: "Hold", Handler: hold, ServerStreams: true}},
}

func echo(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var message []byte
	err := decode(&message)
	return &message, err
}

func hold(_ any, stream grpc.ServerStream) error {
	message := []byte{'x'}
	if err := stream.SendMsg(&message); err != nil {
		return err
	}
	<-stream.Context().Done()
	now := time.Now().UnixNano()
	head, _ := metadata.FromIncomingContext(stream.Context())
	for _, number := range head.Get("x-call") {
		fmt.Println("gone", number, now)
	}
	return stream.Context().Err()
}
