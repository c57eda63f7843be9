package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"e2e/echopb"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
)

const (
	unaryPath  = "/e2e.v1.Echo/Unary"
	failPath   = "/e2e.v1.Echo/Fail"
	waitPath   = "/e2e.v1.Echo/Wait"
	bidiPath   = "/e2e.v1.Echo/Bidi"
	streamPath = "/e2e.v1.Echo/ServerStream"
)

// connectHandler serves e2e.v1.Echo, as much of it as the cases need, in all that Connect speaks: its own
// protocol, gRPC and gRPC-Web.
func connectHandler() http.Handler {
	mux := http.NewServeMux()
	strict := connect.WithRequireConnectProtocolHeader()
	safe := connect.WithIdempotency(connect.IdempotencyNoSideEffects)
	mux.Handle(unaryPath, connect.NewUnaryHandler(unaryPath, answerUnary, strict, safe))
	mux.Handle(failPath, connect.NewUnaryHandler(failPath, answerFail, strict))
	mux.Handle(waitPath, connect.NewUnaryHandler(waitPath, answerNever, strict))
	mux.Handle(bidiPath, connect.NewBidiStreamHandler(bidiPath, answerBidi, strict))
	mux.Handle(streamPath, connect.NewServerStreamHandler(streamPath, answerStream, strict))
	return mux
}

// answerUnary sends the message back, metadata that begins with `x-echo-` as header and as trailer, and
// what the request was by its head.
func answerUnary(_ context.Context, request *connect.Request[echopb.Message]) (
	*connect.Response[echopb.Message], error) {
	response := connect.NewResponse(request.Msg)
	for key, values := range request.Header() {
		if strings.HasPrefix(key, "X-Echo-") {
			response.Header()[key] = values
			response.Trailer()[key] = values
		}
	}
	response.Header().Set("X-Seen", strings.Join([]string{request.HTTPMethod(),
		request.Header().Get("Content-Type"), request.Header().Get("Content-Encoding"),
		request.Header().Get("Connect-Protocol-Version")}, "|"))
	return response, nil
}

func answerFail(_ context.Context, request *connect.Request[echopb.FailRequest]) (
	*connect.Response[echopb.Message], error) {
	failure := connect.NewError(connect.Code(request.Msg.Code), errors.New(request.Msg.Message))
	detail, err := connect.NewErrorDetail(&errdetails.ErrorInfo{Reason: "E2E", Domain: "e2e.v1"})
	if err != nil {
		return nil, err
	}
	failure.AddDetail(detail)
	failure.Meta().Set("x-with-error", "yes")
	return nil, failure
}

func answerNever(ctx context.Context, _ *connect.Request[echopb.Message]) (
	*connect.Response[echopb.Message], error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func answerBidi(_ context.Context, stream *connect.BidiStream[echopb.Message, echopb.Message]) error {
	for {
		message, err := stream.Receive()
		if errors.Is(err, io.EOF) {
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

func answerStream(_ context.Context, request *connect.Request[echopb.ServerStreamRequest],
	stream *connect.ServerStream[echopb.Message]) error {
	for range request.Msg.Messages {
		if err := stream.Send(&echopb.Message{Payload: fixed(int(request.Msg.Size))}); err != nil {
			return err
		}
	}
	stream.ResponseTrailer().Set("x-last", "yes")
	return nil
}
