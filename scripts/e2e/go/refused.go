package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"e2e/echopb"

	"connectrpc.com/connect"
)

const (
	nobody  = "nobody-has-this-name"
	refusal = `nobody has registered the name "` + nobody + `"`
)

// refused: what the hub itself says, each protocol's caller can read. Straight to a server, there is nobody to say it.
func (c *httpCaller) refused(ctx context.Context) error {
	transport, is := c.http.Transport.(*nameTransport)
	if !is || !c.through {
		return nil
	}
	to := &http.Client{Transport: &nameTransport{transport.Transport, nobody}}
	for name, options := range map[string][]connect.ClientOption{
		"proto":    {},
		"json":     {connect.WithProtoJSON()},
		"get":      {connect.WithHTTPGet(), connect.WithIdempotency(connect.IdempotencyNoSideEffects)},
		"grpc":     {connect.WithGRPC()},
		"grpc-web": {connect.WithGRPCWeb()},
		"web-json": {connect.WithGRPCWeb(), connect.WithProtoJSON()},
	} {
		unary := connect.NewClient[echopb.Message, echopb.Message](to, c.base+unaryPath, options...)
		_, err := unary.CallUnary(ctx, connect.NewRequest(&echopb.Message{}))
		if err := isRefused(err); err != nil {
			return fmt.Errorf("%s, unary: %w", name, err)
		}
		if name == "get" {
			continue
		}
		client := connect.NewClient[echopb.ServerStreamRequest, echopb.Message](to, c.base+streamPath, options...)
		stream, err := client.CallServerStream(ctx, connect.NewRequest(&echopb.ServerStreamRequest{Messages: 1}))
		if err == nil {
			for stream.Receive() {
				return fmt.Errorf("%s: there is an answer", name)
			}
			err = stream.Err()
		}
		if err := isRefused(err); err != nil {
			return fmt.Errorf("%s, stream: %w", name, err)
		}
	}
	return nil
}

func isRefused(err error) error {
	var failure *connect.Error
	if !errors.As(err, &failure) {
		return fmt.Errorf("it ends with %v", err)
	}
	reason := failure.Meta().Get("hub-reason")
	if failure.Code() != connect.CodeUnavailable || failure.Message() != refusal || reason != "unknown-name" {
		return fmt.Errorf("it ends with %v, hub-reason %q", err, reason)
	}
	return nil
}
