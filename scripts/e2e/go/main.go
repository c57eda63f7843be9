// The Go peer of the end-to-end tests, all of it in one program: a server and a client of e2e.v1.Echo
// with grpc-go, and the same for HTTP/2 that is not gRPC, with net/http and Connect.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// largestMessage fits the 64 MiB of the large cases; grpc-go's own default is 4 MiB.
const largestMessage = 80 << 20

var commands = map[string]func(args []string) error{
	"server":      serve,
	"client":      runCases,
	"hold":        hold,
	"slow":        slow,
	"healthy":     healthy,
	"list-health": listHealth,
	"plain":       servePlain,
	"http":        runHTTPCases,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: e2e-go server|client|hold|slow|healthy|list-health|plain|http [flags]")
		os.Exit(64)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "e2e-go:", err)
		os.Exit(1)
	}
}

// target is where calls go: an address, over TLS when there is a CA, to a name when there is one.
type target struct{ address, name, caFile string }

func (t *target) flags(set *flag.FlagSet) {
	set.StringVar(&t.address, "target", "", "`address` to call")
	set.StringVar(&t.name, "name", "", "the hub's `name` metadata for every call")
	set.StringVar(&t.caFile, "tls-ca-file", "", "speak TLS and trust this `file`")
}

// dial opens one channel, which is one connection: pick_first over one loopback address.
func (t *target) dial(more ...grpc.DialOption) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if t.caFile != "" {
		config, err := t.tls()
		if err != nil {
			return nil, err
		}
		transport = credentials.NewTLS(config)
	}
	return grpc.NewClient(t.address, append(more,
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largestMessage)),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any,
			cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(t.named(ctx), method, req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc,
			cc *grpc.ClientConn, method string, open grpc.Streamer,
			opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return open(t.named(ctx), desc, cc, method, opts...)
		}))...)
}

// tls trusts the CA, and nobody else.
func (t *target) tls() (*tls.Config, error) {
	pem, err := os.ReadFile(t.caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New(t.caFile + " holds no certificate")
	}
	return &tls.Config{RootCAs: roots}, nil
}

// named adds all that a caller has to know about the hub.
func (t *target) named(ctx context.Context) context.Context {
	if t.name == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "name", t.name)
}
