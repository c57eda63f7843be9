package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

const (
	mib = 1 << 20
	// Messages of the stream that is not read, and calls beside it.
	stalled = 8
	beside  = 4
)

// largeBesideStalledStream makes large calls beside a stream that it reads only then.
func largeBesideStalledStream(ctx context.Context, stub testpb.TestServiceClient) error {
	stream, err := stub.StreamingOutputCall(ctx, wanted())
	if err != nil {
		return err
	}
	for range beside {
		request := &testpb.SimpleRequest{ResponseSize: mib, Payload: &testpb.Payload{Body: make([]byte, mib)}}
		reply, err := stub.UnaryCall(ctx, request)
		if err != nil {
			return err
		}
		if size := len(reply.GetPayload().GetBody()); size != mib {
			return fmt.Errorf("the size of the answer is %d, not %d", size, mib)
		}
	}
	return readAll(stream)
}

// wanted asks for the messages that are not read at first.
func wanted() *testpb.StreamingOutputCallRequest {
	request := &testpb.StreamingOutputCallRequest{}
	for range stalled {
		request.ResponseParameters = append(request.ResponseParameters, &testpb.ResponseParameters{Size: mib})
	}
	return request
}

// readAll reads what the stalled stream has left.
func readAll(stream testpb.TestService_StreamingOutputCallClient) error {
	sum := 0
	for {
		reply, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		sum += len(reply.GetPayload().GetBody())
	}
	if sum != stalled*mib {
		return fmt.Errorf("what was left to read is %d, not %d", sum, stalled*mib)
	}
	return nil
}
