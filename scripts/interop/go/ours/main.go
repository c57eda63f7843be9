// The cases that are ours, on grpc-go: says on stderr what is not as it must be.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

// Far above what a case takes, so that a hang fails by name.
const limit = 20 * time.Second

var cases = map[string]func(context.Context, testpb.TestServiceClient) error{
	"large_beside_stalled_stream": largeBesideStalledStream,
	"cut_at_drain":                cutAtDrain,
}

func main() {
	target := flag.String("target", "", "host:port")
	name := flag.String("name", "", "metadata `name` of every call")
	ca := flag.String("tls-ca-file", "", "speak TLS, and trust this CA")
	title := flag.String("case", "", "the case to run")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if *name != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "name", *name)
	}
	if err := run(ctx, *title, *target, *ca); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, title, target, ca string) error {
	runCase, ok := cases[title]
	if !ok {
		return fmt.Errorf("no such case: %q", title)
	}
	secrets, err := secrets(ca)
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(secrets))
	if err != nil {
		return err
	}
	defer connection.Close()
	return runCase(ctx, testpb.NewTestServiceClient(connection))
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
