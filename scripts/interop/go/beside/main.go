// The case large_beside_stalled_stream, which is ours, on grpc-go: says on stderr what is not as it must be.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

const (
	// Far above what the case takes, so that a hang fails by name.
	limit = 20 * time.Second
	mib   = 1 << 20
	// Messages of the stream that is not read, and calls beside it.
	stalled = 8
	beside  = 4
)

func main() {
	target := flag.String("target", "", "host:port")
	name := flag.String("name", "", "metadata `name` of every call")
	ca := flag.String("tls-ca-file", "", "speak TLS, and trust this CA")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if *name != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "name", *name)
	}
	if err := run(ctx, *target, *ca); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, target, ca string) error {
	secrets, err := secrets(ca)
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(secrets))
	if err != nil {
		return err
	}
	defer connection.Close()
	stub := testpb.NewTestServiceClient(connection)
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

// secrets trusts a CA, or speaks plaintext where there is none.
func secrets(ca string) (credentials.TransportCredentials, error) {
	if ca == "" {
		return insecure.NewCredentials(), nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", ca)
	}
	return credentials.NewTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}), nil
}
