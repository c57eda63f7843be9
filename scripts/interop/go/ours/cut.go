package main

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

const (
	// The sizes of the first exchange, which every port of the cases uses.
	requestSize  = 27182
	responseSize = 31415
	// What a hub says to whom it cuts off.
	cutOff = "this hub ends the connection, and your call had not ended in the time for that"
)

// cutAtDrain has a call running, says so, and expects that the hub, which ends, cuts it off.
func cutAtDrain(ctx context.Context, stub testpb.TestServiceClient) error {
	stream, err := stub.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	request := &testpb.StreamingOutputCallRequest{
		ResponseParameters: []*testpb.ResponseParameters{{Size: responseSize}},
		Payload:            &testpb.Payload{Body: make([]byte, requestSize)},
	}
	if err := stream.Send(request); err != nil {
		return err
	}
	reply, err := stream.Recv()
	if err != nil {
		return err
	}
	if size := len(reply.GetPayload().GetBody()); size != responseSize {
		return fmt.Errorf("the size of the answer is %d, not %d", size, responseSize)
	}
	fmt.Println("BEGUN")
	_, err = stream.Recv()
	if end := status.Convert(err); end.Code() != codes.Unavailable || end.Message() != cutOff {
		return fmt.Errorf("it ends with %v: %q", end.Code(), end.Message())
	}
	return nil
}
